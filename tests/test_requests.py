"""Of the same queries as in test_catalyst.py: what is sent to vLLM, apart from the rows that enter LLMEval.

The engine is asked in earnest; its answers are replaced, so that conditions keep the rows that the table says.
Equal prompts are one request in a task. Nothing keeps answers between queries, and each query is run once.
"""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

from sparkllm.backend.client import EngineClient, connect
from sparkllm.config import LLMConfig
from tests.optimizer.capitals import in_place_of_the_engines, small_tables
from tests.optimizer.cases import cases
from tests.optimizer.queries import run


@pytest.fixture(scope="module")
def asking(spark: SparkSession) -> SparkSession:
    session = small_tables(spark, in_place_of_the_engines())
    session.conf.set("spark.sparkllm.maxTokens", "4")
    return session


@pytest.fixture(scope="module")
def engine(spark: SparkSession) -> EngineClient:
    settings = dict(spark.sparkContext.getConf().getAll())
    return connect(LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)


@pytest.mark.parametrize("case", cases("catalyst_calls.json"))
def test_requests_that_reach_vllm(asking: SparkSession, engine: EngineClient, case: dict[str, Any]) -> None:
    before = engine.counters()["requests"]
    _, calls = run(asking, case["sql"])
    sent = engine.counters()["requests"] - before
    assert [call["rows"] for call in calls] == case["rows"]
    assert sent == sum(call["requests"] for call in calls)
    if case.get("random"):  # the same prompt or another
        assert sent <= sum(case["requests"])
    else:
        assert [call["requests"] for call in calls] == case["requests"]
