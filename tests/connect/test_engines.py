"""Real engines behind Spark Connect, beside the classic path: the same rows, the same counts, and what is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import stop as stop_engines
from sparkllm.demo.__main__ import read_reviews
from sparkllm.errors import CallError, ConfigError, SparkLLMError
from sparkllm.plain_report import PlainReport
from sparkllm.plain_sql import plain_text
from tests.connect.server import connect
from tests.settings import configured

TABLE = "FROM VALUES (1, 'good') AS reviews(id, review)"
DRY = {"spark.sparkllm.engine": "dry-run"}
# as many requests on both paths: one task, or no two rows alike in two tasks
QUERIES = [
    "SELECT id, llm('classify', review) AS c FROM reviews",
    "SELECT product, count(*) AS n FROM reviews WHERE llm('classify', review) = 'negative' GROUP BY product",
    "SELECT id, llm('Is {product} too dear?', review, labels => array('yes', 'no')) AS c FROM reviews "
    "WHERE llm('classify', review) = 'negative' AND stars = 1",
    "SELECT DISTINCT product, llm_classify(product, array('for the kitchen', 'for the garden')) AS c FROM reviews",
    "SELECT id, llm('classify', review) AS c FROM reviews ORDER BY id DESC LIMIT 7",
    "SELECT llm('classify', review, on_error => 'struct') AS c FROM reviews WHERE stars = 3",
    "SELECT product, llm_agg('Is the most of it good?', review) AS a FROM reviews WHERE stars > 2 GROUP BY product",
    "SELECT llm_summarize_agg(struct(product, review), 20) AS a FROM reviews HAVING count(*) > 3",
]


@pytest.fixture(scope="module")
def table(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("reviews") / "reviews.parquet")
    read_reviews(spark).coalesce(1).write.parquet(folder)
    return folder


@pytest.fixture(scope="module")
def classic(spark: SparkSession, table: str) -> Iterator[SparkSession]:
    spark.read.parquet(table).createOrReplaceTempView("reviews")
    yield spark
    spark.sql("DROP VIEW IF EXISTS reviews")


@pytest.fixture(scope="module")
def shop(remote: SparkSession, table: str, folder: Path) -> Iterator[SparkSession]:
    """The same table on the server; its engines have a folder of their own."""
    config = {"model": "demo", "runtime_dir": str(folder), "kv_cache_gib": 1, "ledger": "off"}
    sparkllm.register(remote, **config)  # type: ignore[arg-type] # PySpark's two sessions have no common type
    remote.read.parquet(table).createOrReplaceTempView("reviews")
    yield remote
    stop_engines(config=sparkllm.LLMConfig(runtime_dir=str(folder)))


def both(classic: SparkSession, shop: SparkSession, query: str) -> tuple[list[int], list[list[str]]]:
    """Requests, and rows as text, of each path."""
    requests, rows = [], []
    for frame, session in ((classic.sql(query), classic), (sparkllm.sql(shop, query), shop)):
        rows.append(sorted(str(row) for row in frame.collect()))
        requests.append(sparkllm.last_report(session).total("requests"))
    return requests, rows


@pytest.mark.parametrize("query", QUERIES)
def test_the_engine_is_asked_as_often_as_on_the_classic_path(
    classic: SparkSession, shop: SparkSession, query: str
) -> None:
    with configured(classic, DRY), configured(shop, DRY):
        requests, rows = both(classic, shop, query)
    assert rows[0] == rows[1]
    assert requests[0] == requests[1] > 0 or "AND id" in query  # a dry run's first label is what the filter wants


def test_rows_of_a_real_model_are_those_of_the_classic_path(classic: SparkSession, shop: SparkSession) -> None:
    for query in QUERIES[:3]:
        requests, rows = both(classic, shop, query)
        assert rows[0] == rows[1], query
        assert requests[0] == requests[1] > 0, query


def test_map_asks_the_same_engine(shop: SparkSession) -> None:
    with configured(shop, DRY):
        found = sparkllm.map(shop.table("reviews").limit(9), name="c", call="llm('classify', review)")
        assert {row.c for row in found.collect()} <= {"negative", None}


def test_map_takes_no_aggregate(shop: SparkSession) -> None:
    with configured(shop, DRY), pytest.raises(CallError, match=r"no aggregates; group with sparkllm\.sql"):
        sparkllm.map(shop.table("reviews"), name="c", call="llm_summarize_agg(review)")


def test_the_report_has_what_the_engines_counted(shop: SparkSession) -> None:
    with configured(shop, DRY):
        frame = sparkllm.sql(shop, QUERIES[0])
        frame.collect()
        report = sparkllm.last_report(shop)
    assert isinstance(report, PlainReport)
    assert (report.hosts, report.total("requests")) == (1, 221)
    assert report.total("prompt_tokens") > report.total("cached_tokens") > 0
    assert "221" in str(report)


def test_a_session_without_a_query_has_no_report(server: str) -> None:
    session = connect(server)
    try:
        with pytest.raises(SparkLLMError, match=r"sparkllm\.sql"):
            sparkllm.last_report(session)
    finally:
        session.stop()


def test_a_budget_is_refused_before_anything_runs(shop: SparkSession) -> None:
    with (
        configured(shop, {"spark.sparkllm.maxCalls": "10"}),
        pytest.raises(ConfigError, match=r"budget.*without the Catalyst extension"),
    ):
        sparkllm.sql(shop, QUERIES[0])


def test_progress_says_what_to_use_instead(shop: SparkSession) -> None:
    with pytest.raises(SparkLLMError, match="last_report"):
        sparkllm.progress(shop)


def test_a_misspelt_setting_is_refused(shop: SparkSession) -> None:
    with (
        configured(shop, {"spark.sparkllm.modell": "demo"}),
        pytest.raises(ConfigError, match=r"spark\.sparkllm\.model"),
    ):
        sparkllm.sql(shop, QUERIES[0])


def test_a_setting_that_the_server_hides_is_given_by_register(server: str) -> None:
    session = connect(server)
    try:
        session.conf.set("spark.sparkllm.maxTokens", "7")
        with pytest.raises(ConfigError, match=r"maxTokens.*register"):
            plain_text(session, QUERIES[0])
        sparkllm.register(session, max_tokens=9)
        assert '"spark.sparkllm.maxTokens":"9"' in plain_text(session, QUERIES[0].replace("FROM reviews", TABLE))
    finally:
        session.stop()


def test_a_classic_session_with_the_extension_runs_the_query_itself(classic: SparkSession) -> None:
    with configured(classic, DRY):
        own = sparkllm.sql(classic, QUERIES[4])
        assert "LLMEval" in own._jdf.queryExecution().optimizedPlan().toString()  # type: ignore[operator]
        other = sparkllm.sql(classic, QUERIES[4], rewritten=True)
        assert "__llm_ask" in other._jdf.queryExecution().optimizedPlan().toString()  # type: ignore[operator]
        assert own.collect() == other.collect()
