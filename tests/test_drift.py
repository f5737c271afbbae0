"""Answers in the optimizer's order beside those in the query's own, on the real engine."""

from __future__ import annotations

import math

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import connect
from sparkllm.calls import LLMCall
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.drift import CallDrift, QueryDrift
from sparkllm.errors import ConfigError
from tests.settings import configured

QUERY = "SELECT llm('Is it about the price?', review, product) AS c FROM reviews WHERE id > 5"


def requests(spark: SparkSession) -> int:
    settings = {k: v for k, v in spark.conf.getAll.items() if k.startswith(PREFIX)}
    engine = connect(LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)
    return engine.counters()["requests"]


def test_each_row_of_the_sample_is_asked_in_both_orders(shop: SparkSession) -> None:
    shop.sql("SELECT llm('Say yes.')").collect()
    before = requests(shop)
    [call] = sparkllm.check_drift(QUERY, shop, sample=40).calls
    assert call.rows == 40
    assert requests(shop) - before == 80
    assert call.field_order == ("product", "review")
    assert call.same + len(call.differences) == 40
    assert all(one.optimized != one.original and set(one.fields) == set(call.call.fields) for one in call.differences)


def test_one_field_has_one_order_and_the_same_answers(shop: SparkSession) -> None:
    found = sparkllm.check_drift(shop.sql("SELECT llm('classify', review) FROM reviews"), sample=30)
    [call] = found.calls
    assert (call.rows, call.same, call.agreement) == (30, 30, 1.0)
    assert "30 of 30 rows, 100.0 %" in str(found)
    assert "<table" in found._repr_html_()


def test_a_call_over_answers_and_an_empty_table_are_not_asked(shop: SparkSession) -> None:
    nested = "SELECT llm('Is it good?', llm('classify', review)) FROM reviews WHERE id < 0"
    assert [call.rows for call in sparkllm.check_drift(nested, shop).calls] == [0, 0]
    assert "not asked" in str(sparkllm.check_drift(nested, shop))


def test_sampled_answers_and_no_sample_are_refused(shop: SparkSession) -> None:
    with configured(shop, {"spark.sparkllm.temperature": "0.5"}), pytest.raises(ConfigError, match="greedy"):
        sparkllm.check_drift(QUERY, shop)
    with pytest.raises(ConfigError, match="1 or more rows, got 0"):
        sparkllm.check_drift(QUERY, shop, sample=0)


def test_a_budget_of_the_session_is_not_charged_and_stops_nothing(shop: SparkSession) -> None:
    budget = {"spark.sparkllm.engine": "dry-run", "spark.sparkllm.maxCalls": "10"}
    with configured(shop, budget):
        [call] = sparkllm.check_drift(QUERY, shop, sample=20).calls
    assert (call.rows, call.same) == (20, 20)


def test_no_rows_are_no_agreement() -> None:
    call = CallDrift(LLMCall(None, "Is it?"), 0, 0, (), ())
    assert math.isnan(call.agreement)
    assert call.interval == (0.0, 1.0)
    assert "not asked" in str(QueryDrift((call,)))
