"""Data first, as planned: which calls are marked, and what the rows then tell the Python worker.

A stand-in for the engine answers with what stands beside each row: the field order, and the layout behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from sparkllm.optimizer.layout import least_data
from sparkllm.spark_session import _scala_object, register
from sparkllm.udf.iterator_udf import iterator_udf
from tests.optimizer.noise import noise
from tests.optimizer.queries import plan, query_id
from tests.settings import configured

ROWS = 2000


def stand_in() -> Any:
    """An `__llm_eval` that tells, as JSON, what stands beside each row, the rows of its batch, and if it follows."""

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        for batch in batches:
            rows = len(batch[1])
            layout = json.loads(batch[0][0].as_py())["call"].get("data_first") or {}
            beside = batch[2].to_pylist() if len(batch) > 2 else [""] * rows
            values = [json.dumps([text, rows, layout.get("follows")]) for text in beside]
            yield pa.StructArray.from_arrays(
                [pa.array(values, pa.string()), pa.nulls(rows, pa.string())], names=["value", "error"]
            )

    answer = StructType([StructField("value", StringType()), StructField("error", StringType())])
    return iterator_udf(llm_eval, answer)


@pytest.fixture(scope="module")
def tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """Tables of 2,000 rows: `long` texts of 700 bytes, `short` ones of 60 beside an id that no call reads."""
    session = register(spark.newSession(), tasks=2, _function=stand_in())
    for name, length in (("long", 700), ("short", 60)):
        table = pd.DataFrame(
            {
                "id": range(ROWS),
                "text": [noise(i, length) for i in range(ROWS)],
                "shop": [f"shop {i % 5}" for i in range(ROWS)],
                "more": [noise(-i, 200) for i in range(ROWS)],
            }
        )
        folder = tmp_path_factory.mktemp(name)
        table.to_parquet(folder / "rows.parquet", index=False, row_group_size=500)
        session.read.parquet(str(folder)).createOrReplaceTempView(name)
    return session


def marked(frame: DataFrame) -> int:
    """Calls that are laid out data first from some length on."""
    return sum("layout: data first from" in line for line in plan(frame).splitlines())


def told(frame: DataFrame) -> tuple[list[list[Any]], list[list[Any]]]:
    """What stood beside the rows of the first and of the second call: the last two columns."""
    rows = frame.collect()
    return [json.loads(row[-2]) for row in rows], [json.loads(row[-1]) for row in rows]


TWO = "SELECT id, llm('Is it good?', text, shop) AS a, llm('Is it cheap?', text, shop) AS b FROM"


def test_two_calls_on_the_same_fields_are_marked_and_explain_says_so(tables: SparkSession) -> None:
    frame = tables.sql(f"{TWO} long")
    assert marked(frame) == 2
    assert "layout: data first" in tables.sql(f"EXPLAIN {TWO} long").collect()[0][0]


def test_long_data_goes_first_in_every_row_of_both_calls(tables: SparkSession) -> None:
    first, second = told(tables.sql(f"{TWO} long"))
    assert {beside for beside, *_ in first + second} == {"1,0;data first"}
    assert len(first) == len(second) == ROWS


def test_short_data_stays_behind_the_instruction(tables: SparkSession) -> None:
    """The plan cannot know how long the texts are: the pass over the rows does."""
    first, second = told(tables.sql(f"{TWO} short"))
    assert {beside for beside, *_ in first + second} == {"1,0"}


def test_rows_that_share_most_of_their_data_keep_the_instruction_first(tables: SparkSession) -> None:
    """700 bytes each, but every text stands in 40 rows: sorted, the cache serves them in either layout."""
    texts = "SELECT text FROM long WHERE id < 50"
    pairs = f"SELECT s.id, t.text, string(s.id) AS shop FROM ({texts}) t, long s WHERE s.id < 40"
    first, _ = told(tables.sql(f"{TWO} ({pairs})"))
    assert {beside for beside, *_ in first} == {"0,1"}


def test_only_the_second_call_follows(tables: SparkSession) -> None:
    first, second = told(tables.sql(f"{TWO} long"))
    assert ({follows for *_, follows in first}, {follows for *_, follows in second}) == ({False}, {True})


def test_the_second_call_gets_its_rows_in_small_batches(tables: SparkSession) -> None:
    """What lies between a row's first call and its second is what the cache must hold."""
    first, second = told(tables.sql(f"{TWO} long"))
    assert max(rows for _, rows, _ in first) > 500
    assert max(rows for _, rows, _ in second) <= 64


def test_the_rule_switched_off_marks_nothing(tables: SparkSession) -> None:
    with configured(tables, {"spark.sparkllm.optimizer.dataFirst": "false"}):
        frame = tables.sql(f"{TWO} long")
        assert marked(frame) == 0
        first, second = told(frame)
    assert {beside for beside, *_ in first + second} == {"1,0"}


CASCADE = "SELECT id FROM long WHERE llm('Is it good?', text{}) <> '' AND llm('Is it cheap?', text) <> ''"


def test_a_cascade_is_marked_from_longer_data_on(tables: SparkSession) -> None:
    """The first call's filter keeps rows from the second: there is less to save."""

    def least(frame: DataFrame) -> int:
        return int(plan(frame).split("layout: data first from ")[1].split()[0])

    both, cascade = tables.sql(TWO.replace(", shop", "") + " long"), tables.sql(CASCADE.format(""))
    assert marked(cascade) == 2
    assert least(cascade) > 2 * least(both)


def test_a_cascade_that_hardly_any_row_survives_is_not_marked(tables: SparkSession) -> None:
    assert marked(tables.sql(CASCADE.format(", selectivity => 0.1"))) == 0


@pytest.mark.parametrize(
    ("reason", "calls"),
    [
        ("one call", "llm('Is it good?', text)"),
        ("other fields", "llm('Is it good?', text), llm('Is it cheap?', text, more)"),
        ("another order of the fields", "llm('Is it good?', text, more), llm('Is it cheap?', more, text)"),
        ("another model", "llm('Is it good?', text), llm('Is it cheap?', text, model => 'other')"),
        ("a field in the instruction", "llm('Is {shop} good?', text), llm('Is {shop} cheap?', text)"),
        ("an instruction that says where", "llm('Is the text below good?', text), llm('Is it cheap?', text)"),
    ],
)
def test_the_instruction_stays_first_for(tables: SparkSession, reason: str, calls: str) -> None:
    assert marked(tables.sql(f"SELECT {calls} FROM long")) == 0, reason


def test_three_calls_are_marked_together(tables: SparkSession) -> None:
    frame = tables.sql(f"{TWO.replace(' FROM', '')}, llm('classify', text, shop) AS c FROM long")
    assert marked(frame) == 3


def test_a_small_table_whose_rows_nobody_counts_is_not_marked(tables: SparkSession) -> None:
    few = tables.createDataFrame([("x" * 3000, "y", 1)] * 20, "text string, shop string, id int")
    few.createOrReplaceTempView("few")
    assert marked(tables.sql(f"{TWO} few")) == 0


@pytest.mark.parametrize("shares", [(1.0, 1.0), (1.0, 0.5), (1.0, 1.0, 0.3)])
def test_the_plan_decides_by_the_cost_model(tables: SparkSession, shares: tuple[float, ...]) -> None:
    instructions = (60.0, 45.0, 80.0)[: len(shares)]
    layout = _scala_object(tables, "sparkllm.catalyst.Layout")
    sequence = tables._jvm.PythonUtils.toSeq  # type: ignore[union-attr]
    got = layout.leastData(sequence(list(instructions)), sequence(list(shares)), 80.0, 0.2)
    assert got.get() == pytest.approx(least_data(instructions, shares, 80.0, 0.2))
    assert layout.leastData(sequence([60.0]), sequence([1.0]), 80.0, 0.2).isEmpty()


def test_the_spark_ui_tells_how_many_rows_were_laid_out_data_first(tables: SparkSession) -> None:
    def shown(sql: str) -> str:
        tables.sql(sql).collect()
        query = query_id(tables)
        store = tables._jsparkSession.sharedState().statusStore()
        nodes, values = store.planGraph(query).allNodes(), store.executionMetrics(query)
        node = next(n for n in map(nodes.apply, range(nodes.size())) if n.name() == "KeyedRows")
        return str(values.get(node.metrics().apply(0).accumulatorId()).get())

    assert shown(f"{TWO} long") == f"{ROWS:,}"
    assert shown(f"{TWO} short") == "0"
