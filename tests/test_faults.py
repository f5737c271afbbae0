"""An engine that dies in the middle of a query: rows are right, what was answered is not paid for again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import EngineClient, connect
from tests.engine_faults import strike
from tests.killing_processor import engine_options
from tests.settings import configured

ROWS = 1800  # a fast engine must not be done before a death is noticed, half a second later
QUERY = "SELECT id, llm('Continue the text.', text) AS answer FROM numbers"
MOST_UNDER_WAY = 128
SETTINGS = {"spark.sparkllm.maxTokens": "12", "spark.sparkllm.maxInFlight": str(MOST_UNDER_WAY)}


@pytest.fixture(scope="module", autouse=True)
def numbers(spark: SparkSession) -> Iterator[None]:
    """Two tasks of as many rows, each a prompt of its own."""
    frame = spark.range(0, ROWS, 1, 2).selectExpr("id", "concat('the number ', id, ' and what comes next') AS text")
    frame.createOrReplaceTempView("numbers")
    with configured(spark, SETTINGS | {"spark.sparkllm.optimizer.coLocate": "false"}):
        yield
    spark.catalog.dropTempView("numbers")


def engine_of(spark: SparkSession) -> EngineClient:
    settings = {k: v for k, v in spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
    return connect(sparkllm.LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)


def answers(spark: SparkSession) -> dict[int, str]:
    return {row.id: row.answer for row in spark.sql(QUERY).collect()}


def events(engine: EngineClient) -> str:
    return Path(engine._folder.events).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "part", ["engine core", *(pytest.param(part, marks=pytest.mark.long) for part in ("server", "watchdog"))]
)
def test_a_killed_engine_loses_nothing(spark: SparkSession, part: str) -> None:
    expected = answers(spark)
    engine = engine_of(spark)
    fault = strike(engine, part, after=ROWS // 3)
    assert answers(spark) == expected
    done, report = fault(), sparkllm.last_report(spark)
    twice = report.total("requests") - ROWS
    print(f"{part} killed after {done.at_answers} answers, next ready after {done.recovered_seconds} s, {twice} twice")
    assert done.recovered_seconds > 0
    assert report.calls[0].nulls == {}
    assert 0 < twice <= 2 * 2 * MOST_UNDER_WAY  # two tasks with two windows each
    told = events(engine)
    assert f"query={report.query}" in told
    assert "restart 1 of 3" in told


@pytest.mark.long
def test_an_engine_that_hangs_is_started_again(spark: SparkSession) -> None:
    expected = answers(spark)
    with configured(spark, {"spark.sparkllm.hangSeconds": "5"}):
        spark.sql("SELECT llm('Say yes.')").collect()
        engine = engine_of(spark)
        fault = strike(engine, "engine core", ROWS // 3, signal.SIGSTOP)
        assert answers(spark) == expected
    done, report = fault(), sparkllm.last_report(spark)
    print(f"stopped after {done.at_answers} answers, next ready after {done.recovered_seconds} s")
    assert done.recovered_seconds > 5
    assert report.calls[0].nulls == {}
    assert "hang found: it hung: no step for" in events(engine)


@pytest.mark.long
def test_rows_that_kill_the_engine_are_found_and_the_rest_goes_on(spark: SparkSession) -> None:
    poison = [77, 401]
    expected = answers(spark)
    spark.sql(
        f"SELECT id, IF(id IN ({poison[0]}, {poison[1]}), concat(text, ' abracadabra'), text) AS text FROM numbers"
    ).createOrReplaceTempView("poisoned")
    with configured(spark, {"spark.sparkllm.engineOptions": engine_options("abracadabra")}):
        rows = {row.id: row.answer for row in spark.sql(QUERY.replace("numbers", "poisoned")).collect()}
        engine = engine_of(spark)
    report = sparkllm.last_report(spark)
    told = events(engine)
    twice = report.total("requests") - ROWS
    print(f"{told.count('start asked for') - 1} restarts, {twice} paid twice, {report.seconds:.0f} s")
    assert [i for i, answer in rows.items() if answer is None] == poison
    assert rows == expected | dict.fromkeys(poison)
    assert report.total("engine_killed") == 2
    assert told.count("row quarantined") == 2


@pytest.mark.long
def test_an_engine_that_runs_out_of_memory_is_started_again(spark: SparkSession, tmp_path: Path) -> None:
    expected = answers(spark)
    starves = engine_options("the number 300 and", tmp_path / "starved")
    with configured(spark, {"spark.sparkllm.engineOptions": starves}):
        assert answers(spark) == expected
        told = events(engine_of(spark))
    assert (tmp_path / "starved").exists()
    assert "restart 1 of 3" in told
    print(told)


@pytest.mark.long
def test_an_engine_that_always_dies_is_one_clear_error(spark: SparkSession) -> None:
    everything = {
        "spark.sparkllm.engineOptions": engine_options("and what comes next"),
        "spark.sparkllm.engineRestarts": "1",
    }
    with configured(spark, everything), pytest.raises(PythonException, match="EngineDiedError") as caught:
        answers(spark)
    assert "it died 2 times while this task ran (spark.sparkllm.engineRestarts=1)" in str(caught.value)
    assert "server-" in str(caught.value)
