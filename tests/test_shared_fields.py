"""Several calls on the same fields, with the real engine: the second one finds the data in the KV cache."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import connect
from sparkllm.report import QueryReport
from tests.settings import configured

ROWS = 400
WORDS = ["kettle", "boils", "fast", "lamp", "light", "broke", "week", "money", "shop", "colour", "sturdy", "cheap"]
QUERY = (
    "SELECT id, llm('classify', title, review) AS a, "
    "llm('Is this about the price?', title, review, labels => array('yes', 'no')) AS b FROM long_reviews"
)


@pytest.fixture(scope="module", autouse=True)
def reviews(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Reviews of some 900 bytes, all different, in a table that is large enough to be placed."""
    chance = random.Random(5)
    rows = [(i, f"title {i % 40}", f"{i} " + " ".join(chance.choices(WORDS, k=160))) for i in range(ROWS)]
    folder = tmp_path_factory.mktemp("long_reviews")
    table = pd.DataFrame(rows, columns=["id", "title", "review"])
    table.to_parquet(folder / "rows.parquet", index=False, compression=None, use_dictionary=False)
    spark.read.parquet(str(folder)).createOrReplaceTempView("long_reviews")
    yield
    spark.catalog.dropTempView("long_reviews")


def run(spark: SparkSession, sql: str) -> tuple[list, QueryReport]:
    """Rows and report of a query that finds an empty cache."""
    spark.sql("SELECT llm('classify', 'to start the engine')").collect()
    settings = {k: v for k, v in spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
    connect(sparkllm.LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId).reset_prefix_cache()
    return sorted(spark.sql(sql).collect()), sparkllm.last_report(spark)


def computed(report: QueryReport) -> int:
    return report.total("prompt_tokens") - report.total("cached_tokens")


def test_the_second_call_reads_the_data_from_the_cache(spark: SparkSession) -> None:
    with configured(spark, {"spark.sparkllm.optimizer.dataFirst": "false"}):
        before, instruction_first = run(spark, QUERY)
    after, data_first = run(spark, QUERY)
    assert [row.id for row in after] == [row.id for row in before] == list(range(ROWS))
    assert all(row.a is not None and row.b is not None for row in after)
    assert data_first.total("requests") == instruction_first.total("requests") == 2 * ROWS
    print(f"computed: instruction first {computed(instruction_first):,}, data first {computed(data_first):,}")
    assert computed(data_first) < 0.7 * computed(instruction_first)
    first, second = data_first.calls
    assert second.cached_tokens > 0.7 * second.prompt_tokens
    assert second.cached_data_tokens > 10 * first.cached_data_tokens


def test_the_hits_of_the_second_call_are_predicted(spark: SparkSession) -> None:
    _, report = run(spark, QUERY)
    for call in report.calls:
        assert call.predicted_tokens == pytest.approx(call.cached_tokens, rel=0.05, abs=0.02 * call.prompt_tokens)


def test_the_estimate_knows_that_the_second_call_finds_the_data(spark: SparkSession) -> None:
    estimate = sparkllm.explain(QUERY, spark)
    _, report = run(spark, QUERY)
    assert [one.call.labels for one in estimate.calls] == [ran.call.labels for ran in report.calls]
    for one, ran in zip(estimate.calls, report.calls, strict=True):
        assert one.total is not None
        assert (one.total.calls, one.total.prompt_tokens) == (ran.requests, ran.prompt_tokens)
        assert one.total.cached_tokens == pytest.approx(ran.predicted_tokens, rel=0.02)
    with configured(spark, {"spark.sparkllm.optimizer.dataFirst": "false"}):
        apart = sparkllm.explain(QUERY, spark)
    assert estimate.prefix_hit_rate > apart.prefix_hit_rate + 0.3


def test_a_filter_between_the_calls_leaves_the_rest_of_the_rows_their_data(spark: SparkSession) -> None:
    sql = (
        "SELECT id, llm('Is this about the price?', title, review, labels => array('yes', 'no')) AS b "
        "FROM long_reviews WHERE llm('classify', title, review, labels => array('a', 'b'), selectivity => 0.9) <> 'c'"
    )
    rows, report = run(spark, sql)
    assert len(rows) == ROWS
    assert report.calls[1].cached_tokens > 0.7 * report.calls[1].prompt_tokens


def test_the_engine_tells_how_many_tokens_its_cache_holds(spark: SparkSession) -> None:
    spark.sql("SELECT llm('classify', 'to start the engine')").collect()
    settings = {k: v for k, v in spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
    info = connect(sparkllm.LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId).info
    assert info.cache_tokens >= info.max_model_len
    assert info.cache_tokens % info.block_size == 0


def test_a_calibration_asks_the_prompts_of_the_query(spark: SparkSession, tmp_path: Path) -> None:
    """The data in front of the instruction, as the query has it: it does not ask again for what the ledger has."""
    with configured(spark, {"spark.sparkllm.ledger": str(tmp_path / "ledger")}):
        estimate = sparkllm.explain(QUERY, spark, calibrate=True)
        spark.sql(QUERY).collect()
        report = sparkllm.last_report(spark)
    for one, ran in zip(estimate.calls, report.calls, strict=True):
        assert one.total is not None
        assert one.total.speed is not None
        assert one.total.speed.prompts > ROWS / 2
        assert ran.ledger_prompts >= one.total.speed.prompts
        assert ran.requests + ran.ledger_prompts == one.total.calls
