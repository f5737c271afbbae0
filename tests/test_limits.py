"""Queries that share the real engine: a large one leaves room for small ones, and one that is cancelled is gone."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import EngineClient, Submission, connect
from sparkllm.backend.engine import Sampling
from sparkllm.backend.turns import QUANTUM

LARGE, SMALL, TOKENS = 1500, 20, 24


@pytest.fixture(scope="module")
def engine(spark: SparkSession) -> EngineClient:
    settings = {key: value for key, value in spark.conf.getAll.items() if key.startswith("spark.sparkllm.")}
    return connect(sparkllm.LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)


def ask(engine: EngineClient, query: str, rows: int, first: int) -> Submission:
    """Prompts of TOKENS tokens, each another one, and answers of eight."""
    ids = [[first, *(5 + (row * 31 + i * i) % 4000 for i in range(TOKENS - 1))] for row in range(rows)]
    sampling = Sampling(max_tokens=8, min_tokens=8)
    return engine.submit(pa.array(ids, pa.list_(pa.int32())), sampling, query)


def begun(engine: EngineClient, query: str, answers: int = 100) -> None:
    while engine.counters(query)["finished"] < answers:
        time.sleep(0.02)


def inside(engine: EngineClient, query: str) -> int:
    counts = engine.counters(query)
    return counts["requests"] - counts["finished"] - counts["aborted"] - counts["failed"]


def test_a_small_query_does_not_wait_for_a_large_one(engine: EngineClient) -> None:
    large = ask(engine, "a large query", LARGE, 100)
    begun(engine, "a large query")
    before = engine.counters()["finished"]
    small = ask(engine, "a small query", SMALL, 101).result()
    meanwhile = engine.counters()["finished"] - before
    assert small.column("text").null_count == 0
    assert not large.done
    ahead = 2 * engine.info.max_num_seqs + 2 * QUANTUM // TOKENS
    assert meanwhile < ahead + 3 * SMALL, "the others' requests that the engine answered first"
    assert large.result().column("text").null_count == 0


def test_a_cancelled_query_is_out_of_the_engine_within_a_second_and_others_do_not_notice(engine: EngineClient) -> None:
    other, large = ask(engine, "another query", 300, 102), ask(engine, "a cancelled query", LARGE, 103)
    begun(engine, "a cancelled query")
    large.cancel()
    cancelled = time.monotonic()
    while inside(engine, "a cancelled query"):
        time.sleep(0.02)
    assert time.monotonic() - cancelled < 1
    counts = engine.counters("a cancelled query")
    assert counts["aborted"] > 0
    assert other.result().column("text").null_count == 0
    assert engine.counters("a cancelled query") == counts, "nothing of it enters later"
    assert engine.counters("another query")["finished"] == 300
