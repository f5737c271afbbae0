"""What a field of a co-located call may be: random, a subquery, of every type, very long, one of 200."""

from __future__ import annotations

import json
from collections import Counter
from functools import reduce
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from sparkllm.spark_session import _scala_object
from tests.optimizer.co_located import ADAPTIVE, ROWS, asked, is_placed
from tests.optimizer.noise import noise
from tests.optimizer.queries import rows_asked
from tests.settings import configured


@ADAPTIVE
def test_random_fields_are_asked_as_they_were_drawn(placed: SparkSession, adaptive: str) -> None:
    with configured(placed, {"spark.sql.adaptive.enabled": adaptive}):
        rows = asked(placed.sql("SELECT llm('Is it good?', review, string(rand())) FROM t"))
    assert len(rows) == ROWS
    assert len({fields[1] for _, _, fields in rows}) == ROWS


@ADAPTIVE
@pytest.mark.parametrize("value", ["max(shop)", "max(once(shop))"])
def test_a_subquery_may_be_a_field(placed: SparkSession, adaptive: str, value: str) -> None:
    with configured(placed, {"spark.sql.adaptive.enabled": adaptive}):
        frame = placed.sql(f"SELECT llm('Is it good?', review, (SELECT {value} FROM t)) FROM t")
        assert is_placed(frame)
        rows = asked(frame)
    assert len(rows) == ROWS
    assert {fields[1] for _, _, fields in rows} == {"shop 2"}


def test_a_lambda_may_be_in_a_field(placed: SparkSession) -> None:
    frame = placed.sql("SELECT llm('Is it good?', transform(array(shop, review), x -> upper(x))) FROM t WHERE id = 5")
    ((_, _, fields),) = asked(frame)
    assert fields[0] is not None
    assert fields[0].startswith('["SHOP 2","REVIEW 5 ')


@ADAPTIVE
def test_a_call_in_a_subquery_of_a_field_runs_once(placed: SparkSession, adaptive: str) -> None:
    with configured(placed, {"spark.sql.adaptive.enabled": adaptive}):
        frame = placed.sql("SELECT llm('Is it good?', review, (SELECT max(llm('Name it', product)) FROM t)) FROM t")
        assert len(asked(frame)) == ROWS
    assert rows_asked(placed) == [ROWS, ROWS]


def test_fields_of_every_type_give_the_same_prompts_as_without_co_location(placed: SparkSession) -> None:
    sql = """
        SELECT id, llm('Is it good?',
          review, named_struct('a', id, 'b', shop), array(named_struct('c', id)), map(review, id),
          CAST(review AS BINARY), CAST(id AS DECIMAL(20, 3)) / 7, timestamp_seconds(id),
          date_add(DATE'2024-01-01', CAST(id AS INT)), id % 2 = 0, review COLLATE UTF8_LCASE, CAST(id AS DOUBLE) / 0.3,
          make_dt_interval(CAST(id AS INT)), NULL, X'FF00FE') FROM t"""
    on = placed.sql(sql)
    assert is_placed(on)
    got = {row[0]: json.loads(row[1])[2] for row in on.collect()}
    with configured(placed, {"spark.sparkllm.optimizer.coLocate": "false"}):
        assert {row[0]: json.loads(row[1])[2] for row in placed.sql(sql).collect()} == got
    assert len(got) == ROWS
    assert got[7][6].startswith("1.00")


def test_very_long_values_come_back_whole(placed: SparkSession, tmp_path: Path) -> None:
    rows = pd.DataFrame({"id": range(40), "text": [noise(i, 300_000 + i) for i in range(40)], "kind": ["k"] * 40})
    rows.to_parquet(tmp_path / "long.parquet", index=False)
    frame = placed.read.parquet(str(tmp_path)).selectExpr("id", "llm('Is it good?', kind, text)")
    assert is_placed(frame)
    got = {row[0]: json.loads(row[1])[2] for row in frame.collect()}
    assert {i: fields[1] == rows.text[i] for i, fields in got.items()} == dict.fromkeys(range(40), True)


def test_two_hundred_fields_are_placed(placed: SparkSession, tmp_path: Path) -> None:
    columns = {f"c{n}": [f"{i % (n + 1)} of {n}" for i in range(1200)] for n in range(200)}
    rows = pd.DataFrame({**columns, "c0": [noise(i, 600) for i in range(1200)]})
    rows.to_parquet(tmp_path / "wide.parquet", index=False)
    frame = placed.read.parquet(str(tmp_path)).selectExpr("llm('Is it good?', *)")
    assert is_placed(frame)
    got = asked(frame)
    assert Counter(fields for _, _, fields in got) == Counter(rows.itertuples(index=False, name=None))
    orders = {order for _, order, _ in got}
    assert [sorted(map(int, order.split(","))) for order in orders] == [list(range(200))]


@pytest.mark.parametrize("width", [3, 32, 50, 200])
def test_what_a_task_tells_of_its_rows_is_about_a_megabyte_at_most(placed: SparkSession, width: int) -> None:
    """Every task holds and sends as much; 16,384 rows of fifty long fields would be 200 MB."""
    text = placed._jvm.org.apache.spark.unsafe.types.UTF8String.fromString  # type: ignore[union-attr]
    fields = object_array(placed, "org.apache.spark.unsafe.types.UTF8String", [text("x" * 1000)] * width)
    sketches, told = _scala_object(placed, "sparkllm.catalyst.FieldSketch"), []
    of_task = _scala_object(placed, "sparkllm.catalyst.BottomRows").bytesOfTask(64)
    for task in range(10):
        sketch = new_sketch(placed, width, 16384, of_task)
        for i in range(1000):
            fields[0] = text(f"{task} {i}")
            sketch.add(fields, 0)
        told.append(sketch.serialize())
    assert max(map(len, told)) < 1.2 * 2**20
    # the driver gets one of all; it is no smaller sample than that of a task
    merged = reduce(lambda a, b: a.merge(b), map(sketches.deserialize, told))
    assert max(map(len, told)) < len(merged.serialize()) < 5 * 2**20


def new_sketch(session: SparkSession, width: int, capacity: int, sample_bytes: int) -> Any:
    """A FieldSketch of the jar."""
    loader = session._jsparkSession.sharedState().jarClassLoader()
    made = loader.loadClass("sparkllm.catalyst.FieldSketch").getConstructors()[0]
    long = session.sparkContext._gateway.jvm.java.lang.Long.valueOf(sample_bytes)  # type: ignore[union-attr]
    return made.newInstance(object_array(session, "java.lang.Object", [width, capacity, long]))


def object_array(session: SparkSession, name: str, values: list[Any]) -> Any:
    """A Java array of this class."""
    gateway = session.sparkContext._gateway
    array = gateway.new_array(reduce(getattr, name.split("."), gateway.jvm), len(values))  # type: ignore[union-attr]
    for i, value in enumerate(values):
        array[i] = value
    return array
