"""Budgets and cancellation, from SQL to the engine and back over the driver's service."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from pyspark import InheritableThread
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

import sparkllm
from sparkllm import control_channel, llm
from sparkllm.backend.paid import paid
from sparkllm.config import LLMConfig
from tests.settings import configured

T = TypeVar("T")

# Engines tell of themselves each second, and a fast one answers 1,500 such rows in it. One task each: both have a core.
_SEEN_RUNNING = 4_000


def reviews(spark: SparkSession, rows: int, what: str, tasks: int = 1, task: str = "classify") -> list[str | None]:
    frame = spark.range(rows).selectExpr(f"concat('{what} ', id, ' is good') AS review").coalesce(tasks)
    return [row[0] for row in frame.select(llm(task, "review")).collect()]


def test_a_query_ends_at_its_calls_with_what_it_has(spark: SparkSession) -> None:
    with configured(spark, {"spark.sparkllm.maxCalls": "25"}):
        answers = reviews(spark, 60, "this", tasks=2)
    report = sparkllm.last_report(spark)
    assert (len(answers), sum(answer is not None for answer in answers)) == (60, 25)
    assert (report.total("requests"), report.total("budget")) == (25, 35)
    assert report.paid is not None
    assert report.paid["requests"] == 25
    assert report.budget is not None
    assert (report.budget.used["calls"], report.budget.limits["calls"]) == (25, 25)
    for part in ("35: budget used up", "25 of 25 calls", "ended the query", "spark.sparkllm.maxCalls=25"):
        assert part in str(report)


def test_tokens_never_exceed_the_budget(spark: SparkSession) -> None:
    with configured(spark, {"spark.sparkllm.maxTotalTokens": "800"}):
        answers = reviews(spark, 200, "that", tasks=2)
    counts = sparkllm.last_report(spark).paid
    assert counts is not None
    assert None in answers
    assert any(answers)
    assert 600 < counts["prompt_tokens"] - counts["cached_tokens"] + counts["output_tokens"] <= 800


def test_outside_an_sql_execution_each_action_has_its_budget(spark: SparkSession) -> None:
    """Not one for all that an application ever asks through `df.rdd`."""
    with configured(spark, {"spark.sparkllm.maxCalls": "10"}):
        frame = spark.range(20).selectExpr("concat('an rdd of ', id) AS review").coalesce(1)
        asked = frame.select(llm("classify", "review").alias("c")).rdd.map(lambda row: row.c is not None)
        assert [sum(asked.collect()) for _ in range(3)] == [10, 10, 10]


def test_a_budget_can_fail_the_query_and_says_which(spark: SparkSession) -> None:
    settings = {"spark.sparkllm.maxCalls": "10", "spark.sparkllm.onBudget": "fail"}
    with configured(spark, settings), pytest.raises(PythonException) as failed:
        reviews(spark, 30, "it")
    assert "BudgetError: the query's budget is used up: spark.sparkllm.maxCalls=10." in str(failed.value)
    assert sparkllm.last_report(spark).budget is not None


def test_a_cancelled_group_stops_within_a_second_and_others_do_not_notice(
    spark: SparkSession, runtime_dir: str
) -> None:
    context = spark.sparkContext
    config = LLMConfig(runtime_dir=runtime_dir)
    seen: dict[str, object] = {}

    def ask(group: str, rows: int, task: str) -> Callable[[], None]:
        def run() -> None:
            context.setJobGroup(group, group)
            try:
                seen[group] = reviews(spark, rows, group, task=task)
            except Exception as error:
                seen[group] = error

        return run

    def under_way(query: str) -> int:
        counts = paid(context.applicationId, query, config) or {}
        return counts["requests"] - sum(counts[name] for name in ("finished", "aborted", "failed"))

    def running() -> list[str]:
        return [one.query for one in sparkllm.progress(spark) if one.running and one.query]

    wide = {"spark.sparkllm.windowRows": "4000", "spark.sparkllm.maxInFlight": "300"}
    with configured(spark, wide):
        unwanted = InheritableThread(target=ask("unwanted", 4_000, "summarize"))
        unwanted.start()
        query = eventually(running)[0]
        eventually(lambda: under_way(query) > 100)
    wanted = InheritableThread(target=ask("wanted", _SEEN_RUNNING, "classify"))
    wanted.start()
    eventually(lambda: len(running()) == 2)
    began = time.monotonic()
    context.cancelJobGroup("unwanted")
    eventually(lambda: not under_way(query), 5)
    stopped = time.monotonic() - began
    wanted.join()
    unwanted.join()
    assert stopped < 1.0
    assert "cancelled" in str(seen["unwanted"])
    answers = seen["wanted"]
    assert isinstance(answers, list)
    assert len(answers) == _SEEN_RUNNING
    assert None not in answers


def eventually(true: Callable[[], T], seconds: float = 30.0) -> T:
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, f"not so after {seconds} s"
        time.sleep(0.02)
    return found


def test_progress_tells_what_the_engine_was_paid_for(spark: SparkSession) -> None:
    reviews(spark, 30, "thing")
    report = sparkllm.last_report(spark)

    def told() -> bool:
        return any(
            one.query == str(report.query) and one.counters["requests"] == 30 for one in sparkllm.progress(spark)
        )

    eventually(told, 3)


def test_the_token_is_in_no_plan_and_not_in_the_event_log(spark: SparkSession) -> None:
    reviews(spark, 3, "secret")
    token = control_channel._services[spark.sparkContext.applicationId].address.token
    frame = spark.range(2).selectExpr("string(id) AS id").select(llm("classify", "id"))
    plan = frame._jdf.queryExecution()  # type: ignore[operator]
    plans = [plan.toString(), plan.executedPlan().toJSON(), plan.executedPlan().treeString()]
    assert "LLMEval" in "".join(plans)
    assert not any(token in text for text in plans)
    sparkllm.last_report(spark)  # waits for the listeners
    folder = Path(spark.sparkContext.getConf().get("spark.eventLog.dir", ""))
    logs = [file.read_text(encoding="utf-8") for file in folder.rglob("*") if file.is_file()]
    assert any("SparkListenerSQLExecutionStart" in text for text in logs)
    assert not any(token in text for text in logs)
