"""Rows that have nothing in common, as Spark's statistics know, are dealt out to the tasks without a pass over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from sparkllm.spark_session import register
from tests.optimizer.co_located import TASKS, asked, is_placed, stand_in
from tests.optimizer.noise import noise
from tests.optimizer.queries import jobs_started, plan
from tests.settings import configured

ROWS = 2000
CBO = {"spark.sql.cbo.enabled": "true"}


@pytest.fixture(scope="module")
def articles(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with an analyzed table: ten columns of different texts, `product` with few."""
    session = register(spark.newSession(), tasks=TASKS, _function=stand_in())
    table = pd.DataFrame({f"body{k}": [noise(ROWS * k + i, 60) for i in range(ROWS)] for k in range(10)})
    table["product"] = [f"product {i % 40}" for i in range(ROWS)]
    folder = tmp_path_factory.mktemp("articles")
    table.to_parquet(folder / "0.parquet", index=False)
    session.sql(f"CREATE TABLE articles USING parquet LOCATION '{folder}'")
    session.sql("ANALYZE TABLE articles COMPUTE STATISTICS FOR ALL COLUMNS")
    yield session
    session.sql("DROP TABLE articles")


@pytest.fixture(scope="module")
def body(articles: SparkSession) -> str:
    """The first of these columns that Spark's estimate finds as many values in as there are rows."""
    for k in range(10):
        described = {r[0]: r[1] for r in articles.sql(f"DESCRIBE EXTENDED articles body{k}").collect()}
        if int(described["distinct_count"]) >= ROWS:
            return f"body{k}"
    raise AssertionError("Spark underestimates all of them")


def test_rows_of_unique_texts_are_dealt_out_in_turn(articles: SparkSession, body: str) -> None:
    with configured(articles, CBO), jobs_started(articles, "unique texts") as jobs:
        frame = articles.sql(f"SELECT llm('What is it about?', {body}) FROM articles")
        assert not is_placed(frame)
        assert plan(frame).count("Repartition") == 1
        assert jobs() == []
        rows = asked(frame)
    tasks = Counter(task for task, _, _ in rows)
    assert len(rows) == ROWS
    assert len({fields for _, _, fields in rows}) == ROWS
    assert len(tasks) == TASKS
    assert max(tasks.values()) <= 1.05 * ROWS / TASKS


def test_explain_knows_the_number_of_calls(articles: SparkSession, body: str) -> None:
    with configured(articles, CBO):
        plan = articles.sql(f"EXPLAIN SELECT llm('What is it about?', {body}) FROM articles").collect()[0][0]
    assert "expected calls: 2,000\n" in plan


def test_two_calls_on_one_unique_text_are_placed_together(articles: SparkSession, body: str) -> None:
    """The second call finds the text in the KV cache."""
    first = "Is it a good article? Think of its style, its facts and its readers, and say yes or no."
    with configured(articles, CBO):
        frame = articles.sql(f"SELECT llm('{first}', {body}), llm('Is it long or short?', {body}) FROM articles")
        assert plan(frame).count("KeyedRows") == 1
        assert plan(frame).count("data first") == 2


def test_rows_that_may_share_a_field_are_placed(articles: SparkSession, body: str) -> None:
    queries = (
        f"llm('Is it good?', product, {body})",
        f"llm('What is it about?', upper({body}))",
        "llm('What is it about?', product)",
    )
    with configured(articles, CBO):
        assert all(is_placed(articles.sql(f"SELECT {q} FROM articles")) for q in queries)


def test_without_statistics_rows_are_placed(articles: SparkSession, body: str) -> None:
    with configured(articles, {"spark.sql.cbo.enabled": "false"}):
        assert is_placed(articles.sql(f"SELECT llm('What is it about?', {body}) FROM articles"))
