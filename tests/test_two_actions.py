"""`result.count()` and then a write: what each action asks, and what the ledger serves. The engine has no model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import sparkllm
from sparkllm import llm
from sparkllm.backend.client import stop
from sparkllm.report import QueryReport
from sparkllm.spark_session import register
from tests.counting_engine import counting
from tests.settings import configured

ROWS, REVIEWS = 60, 25


@pytest.fixture
def reviews(spark: SparkSession, tmp_path: Path, runtime_dir: str) -> Iterator[DataFrame]:
    """60 rows with 25 different reviews; tasks of their session find no engine of other tests."""
    folder = tmp_path / "e"
    folder.mkdir(mode=0o700)
    kept = str(tmp_path / "kept")
    session = register(spark.newSession(), _function=counting(), runtime_dir=str(folder), ledger=kept)
    yield session.range(0, ROWS, 1, 2).select("id", F.concat(F.lit("review "), F.col("id") % REVIEWS).alias("review"))
    stop(config=sparkllm.LLMConfig(runtime_dir=str(folder)))


def asked(frame: DataFrame, action: object) -> QueryReport:
    action()  # type: ignore[operator]
    return sparkllm.last_report(frame.sparkSession)


def test_a_write_after_a_count_that_asked_asks_for_nothing(reviews: DataFrame, tmp_path: Path) -> None:
    result = reviews.withColumn("label", llm("classify", "review")).where("label = 'positive'")
    counted = asked(result, result.count)
    written = asked(result, lambda: result.write.parquet(str(tmp_path / "out")))
    assert [report.total("rows") for report in (counted, written)] == [ROWS, ROWS]
    assert [report.total("requests") for report in (counted, written)] == [REVIEWS, 0]
    assert written.total("ledger_rows") == ROWS
    assert written.paid is not None
    assert (written.paid["requests"], written.paid["prompt_tokens"]) == (0, 0)
    assert reviews.sparkSession.read.parquet(str(tmp_path / "out")).where("label = 'positive'").count() == ROWS


def test_a_count_of_rows_alone_asks_for_nothing_and_the_write_for_each(reviews: DataFrame, tmp_path: Path) -> None:
    before = len(sparkllm.spark_session.last_reports(reviews.sparkSession, 100))
    result = reviews.withColumn("label", llm("classify", "review"))
    assert result.count() == ROWS
    assert len(sparkllm.spark_session.last_reports(reviews.sparkSession, 100)) == before, "no model was asked"
    written = asked(result, lambda: result.write.parquet(str(tmp_path / "out")))
    assert written.total("requests") == REVIEWS


def test_another_system_prompt_asks_anew_and_starts_no_other_engine(reviews: DataFrame, tmp_path: Path) -> None:
    requests = []
    for prompt in ("", "Be brief.", "Be brief.", ""):
        with configured(reviews.sparkSession, {"spark.sparkllm.systemPrompt": prompt}):
            result = reviews.withColumn("label", llm("classify", "review"))
            requests.append(asked(result, result.collect).total("requests"))
    assert requests == [REVIEWS, REVIEWS, 0, 0]
    (events,) = (tmp_path / "e").glob("*/events.log")
    assert events.read_text().count("this model's chat template takes no system prompt") == 1
