"""Co-location: equal prompts meet in one task, each task holds one range of one order, and the child runs once.

A stand-in for the engine answers with the task, the field order and the fields that it got.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from tests.optimizer.co_located import ADAPTIVE, CALL, ROWS, TASKS, asked, is_placed, placed_session, reviews
from tests.optimizer.noise import noise
from tests.optimizer.queries import jobs_started, plan, rows_asked
from tests.settings import configured


@pytest.fixture(scope="module")
def placed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """A session with the rows of `reviews`, shuffled, of different lengths."""
    rows = reviews(lambda i: 200 + i * 7919 % 800).sample(frac=1, random_state=1)
    return placed_session(spark, rows, tmp_path_factory.mktemp("t"))


def test_equal_prompts_meet_in_one_task(placed: SparkSession) -> None:
    tasks = defaultdict(set)
    rows = asked(placed.sql(f"SELECT {CALL} FROM t"))
    for task, _, fields in rows:
        tasks[fields].add(task)
    assert len(rows) == ROWS
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


@ADAPTIVE
def test_a_child_that_must_not_run_twice_runs_once(placed: SparkSession, adaptive: str) -> None:
    runs = placed.sparkContext.accumulator(0)

    def counted(text: str) -> str:
        runs.add(1)
        return text

    placed.udf.register("counted", counted, "string")
    with configured(placed, {"spark.sql.adaptive.enabled": adaptive}):
        frame = placed.sql("SELECT llm('Is it good?', counted(product), review) FROM t")
        assert is_placed(frame)
        assert len(asked(frame)) == ROWS
    assert runs.value == ROWS


@ADAPTIVE
def test_a_call_over_joined_answers_does_not_ask_for_them_twice(placed: SparkSession, adaptive: str) -> None:
    """With a copy of the plan for the statistics they were: adaptive execution may plan its join otherwise."""
    settings = {
        "spark.sql.adaptive.enabled": adaptive,
        "spark.sql.autoBroadcastJoinThreshold": "-1",
        "spark.sql.adaptive.autoBroadcastJoinThreshold": "100MB",
    }
    with configured(placed, settings):
        frame = placed.sql("SELECT llm('Is it short?', llm('Is it good?', a.product)) FROM t a JOIN t b ON a.id = b.id")
        assert is_placed(frame)
        assert len(frame.collect()) == ROWS
    assert rows_asked(placed) == [ROWS, ROWS]


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
    assert not is_placed(placed.sql(sql.format(call=CALL))), reason


def test_a_second_call_on_the_same_fields_needs_no_second_shuffle(placed: SparkSession) -> None:
    frame = placed.sql(
        "SELECT id, llm('Is it cheap?', product, review) FROM t WHERE llm('Is it good?', product, review) <> ''"
    )
    assert plan(frame).count("KeyedRows") == 1
    assert plan(frame).count("LLMEval") == 2
    assert len(asked(frame)) == ROWS


def test_no_job_runs_before_the_query_does(placed: SparkSession) -> None:
    with jobs_started(placed, "planning") as jobs:
        placed.sql(f"SELECT {CALL} FROM t").explain()
        assert jobs() == []


def test_co_location_switched_off_gives_the_same_answers(placed: SparkSession) -> None:
    sql = f"SELECT id, {CALL} FROM t"
    on = sorted((fields for _, _, fields in asked(placed.sql(sql))), key=str)
    with configured(placed, {"spark.sparkllm.optimizer.coLocate": "false"}):
        frame = placed.sql(sql)
        assert not is_placed(frame)
        assert sorted((fields for _, _, fields in asked(frame)), key=str) == on


def test_without_exchange_reuse_equal_prompts_still_meet(placed: SparkSession) -> None:
    with configured(placed, {"spark.sql.exchange.reuse": "false"}):
        frame = placed.sql("SELECT llm('Is it good?', once(product), review) FROM t")
        assert is_placed(frame)
        tasks = defaultdict(set)
        for task, _, fields in asked(frame):
            tasks[fields].add(task)
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
