"""Co-location: equal prompts meet in one task, each task holds one range of one order, and the child runs once.

A stand-in for the engine answers with the task, the field order and the fields that it got.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from sparkllm.spark_session import last_reports, register
from sparkllm.udf.iterator_udf import iterator_udf

TASKS = 8
CALL = "llm('Is it good?', product, shop, review)"


def stand_in() -> Any:
    """An `__llm_eval` that tells, as JSON, the task, the field order and the fields of each row."""

    def answer(order: str, fields: list[str | None]) -> str:
        from pyspark import TaskContext

        context = TaskContext.get()
        return json.dumps([context.partitionId() if context else -1, order, fields])

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        for batch in batches:
            orders = batch[2].to_pylist() if len(batch) > 2 else [""] * len(batch[1])
            values = [
                answer(order, list(row.values())) for order, row in zip(orders, batch[1].to_pylist(), strict=True)
            ]
            yield pa.StructArray.from_arrays(
                [pa.array(values, pa.string()), pa.nulls(len(values), pa.string())], names=["value", "error"]
            )

    return iterator_udf(llm_eval, StructType([StructField("value", StringType()), StructField("error", StringType())]))


def noise(seed: int, length: int) -> str:
    """Text that Parquet cannot make small."""
    return random.Random(seed).randbytes(length // 2).hex()


@pytest.fixture(scope="module")
def placed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """A session with 6,000 rows, 2,000 of them different, shuffled, in a table `t` of a few MB."""
    session = register(spark.newSession(), _function=stand_in())
    session.conf.set("spark.sparkllm.tasks", str(TASKS))
    distinct = pd.DataFrame(
        {
            "product": [f"product {i % 40}: {noise(i % 40, 500)}" for i in range(2000)],
            "shop": [f"shop {i % 3}" if i % 7 else None for i in range(2000)],
            "review": [f"review {i} {noise(i, 200 + i * 7919 % 800)}" for i in range(2000)],
        }
    )
    rows = pd.concat([distinct] * 3).sample(frac=1, random_state=1)
    rows.insert(0, "id", range(len(rows)))
    folder = tmp_path_factory.mktemp("t")
    for part in range(4):
        rows.iloc[part::4].to_parquet(folder / f"{part}.parquet", index=False)
    session.read.parquet(str(folder)).createOrReplaceTempView("t")
    session.udf.register("once", lambda text: text, "string")
    return session


def asked(frame: DataFrame) -> list[tuple[int, str, tuple[str | None, ...]]]:
    """(task, field order, fields) of every row; the answer is the last column."""
    parsed = [json.loads(row[-1]) for row in frame.collect()]
    return [(task, order, tuple(fields)) for task, order, fields in parsed]


def plan(frame: DataFrame) -> str:
    return frame._jdf.queryExecution().optimizedPlan().toString()  # type: ignore[operator]


def test_equal_prompts_meet_in_one_task(placed: SparkSession) -> None:
    tasks = defaultdict(set)
    rows = asked(placed.sql(f"SELECT {CALL} FROM t"))
    for task, _, fields in rows:
        tasks[fields].add(task)
    assert len(rows) == 6000
    assert len(tasks) == 2000
    assert all(len(t) == 1 for t in tasks.values())


def test_each_task_holds_one_range_of_one_order(placed: SparkSession) -> None:
    rows = asked(placed.sql(f"SELECT {CALL} FROM t"))
    assert {order for _, order, _ in rows} == {"0,1,2"}
    keys = defaultdict(set)
    for task, _, fields in rows:
        keys[task].add(tuple((f is not None, (f or "").encode()) for f in fields))
    ranges = sorted((min(k), max(k)) for k in keys.values())
    assert len(ranges) == TASKS
    assert all(last < first for (_, last), (first, _) in pairwise(ranges))


def test_tasks_hold_about_equal_tokens(placed: SparkSession) -> None:
    distinct = {(task, fields) for task, _, fields in asked(placed.sql(f"SELECT {CALL} FROM t"))}
    sizes: Counter[int] = Counter()
    for task, fields in distinct:
        sizes[task] += sum(len(f) for f in fields if f)
    assert max(sizes.values()) <= 1.15 * sum(sizes.values()) / TASKS


def test_the_field_order_follows_joint_counts(placed: SparkSession) -> None:
    rows = asked(placed.sql("SELECT llm('Is it good?', review, shop, product) FROM t"))
    assert {order for _, order, _ in rows} == {"2,1,0"}


def test_fields_of_the_instruction_come_first(placed: SparkSession) -> None:
    rows = asked(placed.sql("SELECT llm('Is {shop} good?', review, product) FROM t"))
    assert {order for _, order, _ in rows} == {"2,1,0"}


@pytest.mark.parametrize("adaptive", ["true", "false"])
def test_a_child_that_must_not_run_twice_runs_once(placed: SparkSession, adaptive: str) -> None:
    runs = placed.sparkContext.accumulator(0)

    def counted(text: str) -> str:
        runs.add(1)
        return text

    placed.udf.register("counted", counted, "string")
    placed.conf.set("spark.sql.adaptive.enabled", adaptive)
    try:
        frame = placed.sql("SELECT llm('Is it good?', counted(product), review) FROM t")
        assert "KeyedRows" in plan(frame)
        assert len(asked(frame)) == 6000
    finally:
        placed.conf.unset("spark.sql.adaptive.enabled")
    assert runs.value == 6000


@pytest.mark.parametrize("adaptive", ["true", "false"])
def test_a_call_over_joined_answers_does_not_ask_for_them_twice(placed: SparkSession, adaptive: str) -> None:
    """With a copy of the plan for the statistics they were: adaptive execution may plan its join otherwise."""
    settings = {
        "spark.sql.adaptive.enabled": adaptive,
        "spark.sql.autoBroadcastJoinThreshold": "-1",
        "spark.sql.adaptive.autoBroadcastJoinThreshold": "100MB",
    }
    for key, value in settings.items():
        placed.conf.set(key, value)
    try:
        frame = placed.sql("SELECT llm('Is it short?', llm('Is it good?', a.product)) FROM t a JOIN t b ON a.id = b.id")
        assert "KeyedRows" in plan(frame)
        assert len(frame.collect()) == 6000
    finally:
        for key in settings:
            placed.conf.unset(key)
    calls = json.loads(last_reports(placed, 1)[0])["calls"]
    assert [call["rows"] for call in calls] == [6000, 6000]


@pytest.mark.parametrize(
    ("reason", "sql"),
    [
        ("a limit above", "SELECT {call} AS c FROM t WHERE {call} <> 'x' LIMIT 5"),
        ("few rows", "SELECT {call} FROM (SELECT * FROM t LIMIT 100)"),
        ("a small table", "SELECT llm('Is it good?', string(id)) FROM range(100)"),
        ("rows that come sorted", "SELECT {call} FROM (SELECT * FROM t ORDER BY id LIMIT 5000)"),
        ("no fields", "SELECT llm('Say hello to all') FROM t"),
    ],
)
def test_the_shuffle_is_left_out_where_it_cannot_pay(placed: SparkSession, reason: str, sql: str) -> None:
    assert "KeyedRows" not in plan(placed.sql(sql.format(call=CALL))), reason


def test_a_second_call_on_the_same_fields_needs_no_second_shuffle(placed: SparkSession) -> None:
    frame = placed.sql(
        "SELECT id, llm('Is it cheap?', product, review) FROM t WHERE llm('Is it good?', product, review) <> ''"
    )
    assert plan(frame).count("KeyedRows") == 1
    assert plan(frame).count("LLMEval") == 2
    assert len(asked(frame)) == 6000


def test_no_job_runs_before_the_query_does(placed: SparkSession) -> None:
    tracker = placed.sparkContext.statusTracker()
    placed.sparkContext.setJobGroup("planning", "no job belongs here")
    try:
        placed.sql(f"SELECT {CALL} FROM t").explain()
        assert list(tracker.getJobIdsForGroup("planning")) == []
    finally:
        placed.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]


def test_co_location_switched_off_gives_the_same_answers(placed: SparkSession) -> None:
    sql = f"SELECT id, {CALL} FROM t"
    on = sorted((fields for _, _, fields in asked(placed.sql(sql))), key=str)
    placed.conf.set("spark.sparkllm.optimizer.coLocate", "false")
    try:
        frame = placed.sql(sql)
        assert "KeyedRows" not in plan(frame)
        assert sorted((fields for _, _, fields in asked(frame)), key=str) == on
    finally:
        placed.conf.unset("spark.sparkllm.optimizer.coLocate")


def test_without_exchange_reuse_equal_prompts_still_meet(placed: SparkSession) -> None:
    placed.conf.set("spark.sql.exchange.reuse", "false")
    try:
        frame = placed.sql("SELECT llm('Is it good?', once(product), review) FROM t")
        assert "KeyedRows" in plan(frame)
        tasks = defaultdict(set)
        for task, _, fields in asked(frame):
            tasks[fields].add(task)
    finally:
        placed.conf.unset("spark.sql.exchange.reuse")
    assert all(len(t) == 1 for t in tasks.values())


def test_rows_of_a_small_list_keep_their_order(placed: SparkSession) -> None:
    frame = placed.createDataFrame([(i, f"text {9 - i}") for i in range(10)], "id int, text string")
    assert [row.id for row in frame.selectExpr("id", "llm('Is it good?', text)").collect()] == list(range(10))


def test_rows_without_any_field_are_spread(placed: SparkSession, tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": [None] * 3000 + [f"{i} {noise(i, 900)}" for i in range(3000)]})
    rows.to_parquet(tmp_path / "nulls.parquet", index=False)
    got = asked(placed.read.parquet(str(tmp_path)).selectExpr("llm('Is it good?', text)"))
    tasks = Counter(task for task, _, fields in got if fields == (None,))
    assert sum(tasks.values()) == 3000
    assert max(tasks.values()) < 3000 / 2
