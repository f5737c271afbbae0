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


def test_a_sample_of_rows_with_many_long_fields_stays_small(placed: SparkSession) -> None:
    """Every task holds one, and sends it on; 16,384 rows of these would be 200 MB."""
    text = placed._jvm.org.apache.spark.unsafe.types.UTF8String.fromString  # type: ignore[union-attr]
    fields = object_array(placed, "org.apache.spark.unsafe.types.UTF8String", [text("x" * 1000)] * 50)
    sketch, other = (new_sketch(placed, 50, 16384) for _ in range(2))
    for i in range(2000):
        fields[0] = text(str(i))
        (sketch, other)[i % 2].add(fields, 0)
    assert 12 << 20 < len(sketch.serialize()) < 18 << 20
    assert len(sketch.merge(other).serialize()) < 18 << 20


def new_sketch(session: SparkSession, width: int, capacity: int) -> Any:
    """A FieldSketch of the jar."""
    loader = session._jsparkSession.sharedState().jarClassLoader()
    made = loader.loadClass("sparkllm.catalyst.FieldSketch").getConstructors()[0]
    return made.newInstance(object_array(session, "java.lang.Object", [width, capacity]))


def object_array(session: SparkSession, name: str, values: list[Any]) -> Any:
    """A Java array of this class."""
    gateway = session.sparkContext._gateway
    array = gateway.new_array(reduce(getattr, name.split("."), gateway.jvm), len(values))  # type: ignore[union-attr]
    for i, value in enumerate(values):
        array[i] = value
    return array
