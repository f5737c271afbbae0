"""LIMIT over an LLM predicate with the real engine: it is asked for little, and works for nobody afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import EngineClient, connect
from sparkllm.demo.__main__ import read_reviews
from tests.settings import configured

ROWS = 1500
LIMIT = "SELECT id FROM numbered WHERE llm('classify', review) = 'positive' LIMIT 3"
SOON = 5.0  # seconds
WITHOUT_ROUNDS = {"spark.sparkllm.optimizer.stopAtLimit": "false"}


@pytest.fixture(scope="module", autouse=True)
def numbered(spark: SparkSession) -> Iterator[None]:
    """The shipped reviews several times over, each row another text, in one partition and in a known order."""
    texts = [row.review for row in read_reviews(spark).collect() if row.review]
    rows = [(i, f"{texts[i % len(texts)]} This is review number {i}.") for i in range(ROWS)]
    spark.createDataFrame(rows, "id int, review string").coalesce(1).createOrReplaceTempView("numbered")
    yield
    spark.catalog.dropTempView("numbered")


@pytest.fixture(scope="module")
def engine(spark: SparkSession, numbered: None) -> EngineClient:
    """The engine that the session's queries ask."""
    spark.sql("SELECT llm('classify', 'to start the engine')").collect()
    settings = {k: v for k, v in spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
    return connect(sparkllm.LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)


def running(engine: EngineClient) -> int:
    """Requests inside the engine."""
    counts = engine.counters()
    return counts["requests"] - counts["finished"] - counts["failed"] - counts["aborted"]


def seconds_until_idle(engine: EngineClient) -> float:
    began = time.monotonic()
    while running(engine) and time.monotonic() - began < 2 * SOON:
        time.sleep(0.02)
    return time.monotonic() - began


def sent(spark: SparkSession) -> int:
    """Requests of the last query, as the engine counted them."""
    paid = sparkllm.last_report(spark).paid
    assert paid is not None
    return paid["requests"]


def needed(spark: SparkSession) -> int:
    """Rows up to and with the third that the model calls positive."""
    first = spark.sql("SELECT id, llm('classify', review) AS c FROM (SELECT * FROM numbered LIMIT 300)").collect()
    return sorted(row.id for row in first if row.c == "positive")[2] + 1


def test_a_limit_sends_few_requests(spark: SparkSession, engine: EngineClient) -> None:
    """Rounds of 16, 32, 64 rows: no more than twice what was needed, and the first round."""
    least = needed(spark)
    assert len(spark.sql(LIMIT).collect()) == 3
    requests = sent(spark)
    print(f"needed {least} rows, sent {requests} requests")
    assert least <= requests <= 2 * least + 16
    assert seconds_until_idle(engine) < SOON


def test_the_engine_drops_what_a_limit_left_under_way(spark: SparkSession, engine: EngineClient) -> None:
    """Without rounds, a window of 1,024 rows is under way when the first one of 256 has met the limit."""
    with configured(spark, WITHOUT_ROUNDS):
        assert len(spark.sql(LIMIT).collect()) == 3
    idle_after = seconds_until_idle(engine)
    paid = sparkllm.last_report(spark).paid
    assert paid is not None
    print(f"idle after {idle_after:.2f} s: {dict(paid)}")
    assert idle_after < SOON
    assert paid["aborted"] > 0
    assert paid["finished"] + paid["aborted"] == paid["requests"]


def test_the_query_after_a_limit_is_right(spark: SparkSession, engine: EngineClient) -> None:
    query = "SELECT id, llm('classify', review) AS c FROM numbered WHERE id % 30 = 7"
    expected = spark.sql(query).collect()
    with configured(spark, WITHOUT_ROUNDS):
        spark.sql(LIMIT).collect()
    assert spark.sql(query).collect() == expected
    assert len(expected) == ROWS // 30
    assert sparkllm.last_report(spark).calls[0].nulls == {}
    spark.sql(LIMIT).collect()
    assert spark.sql(query).collect() == expected
    assert sent(spark) == len(expected)


def test_a_limit_that_is_never_met_asks_about_every_row_once(spark: SparkSession, engine: EngineClient) -> None:
    query = LIMIT.replace("'positive'", "'nonsense'").replace(
        "FROM numbered", "FROM (SELECT * FROM numbered LIMIT 200)"
    )
    assert spark.sql(query).collect() == []
    assert sent(spark) == 200
