"""The ledger under real queries: what was paid for once is not asked for again, however the rows come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import sparkllm
from sparkllm import llm
from sparkllm.report import QueryReport
from tests.settings import configured

ROWS = 300
PROMPT = "Is this review of the product about its price?"


@pytest.fixture
def kept(spark: SparkSession, tmp_path: Path) -> Iterator[SparkSession]:
    with configured(spark, {"spark.sparkllm.ledger": str(tmp_path / "ledger")}):
        yield spark


def table(spark: SparkSession, first: int = 0) -> DataFrame:
    columns = ["id", "concat('product ', id % 7) AS product", "concat('review number ', id % 211) AS review"]
    return spark.range(first, first + ROWS, 1, 2).selectExpr(*columns)


def answers(frame: DataFrame, *fields: str) -> tuple[dict[int, str], QueryReport]:
    rows = frame.select("id", llm(PROMPT, *fields, labels=["yes", "no"]).alias("c")).collect()
    return {row.id: row.c for row in rows}, sparkllm.last_report(frame.sparkSession)


def test_shuffled_and_repartitioned_the_second_run_asks_for_nothing(kept: SparkSession) -> None:
    first, paid = answers(table(kept), "product", "review")
    assert paid.total("requests") > 0
    for other in (
        table(kept).orderBy(F.rand(seed=3)).repartition(3),
        table(kept).coalesce(1).orderBy(F.col("id").desc()),
        table(kept).withColumn("more", F.lit("of another column")),
    ):
        again, free = answers(other, "product", "review")
        assert again == first
        assert (free.total("requests"), free.total("prompt_tokens")) == (0, 0)
        assert free.total("ledger_rows") == ROWS
        assert free.paid is not None
        assert (free.paid["requests"], free.paid["from_ledger"]) == (0, free.total("ledger_prompts"))
    assert "from the ledger" in str(free)


def test_a_query_over_overlapping_rows_pays_for_the_new_ones_alone(kept: SparkSession) -> None:
    answers(table(kept).where("id < 200"), "review")
    _, report = answers(table(kept), "review")
    assert report.total("requests") == 11  # reviews 200 to 210
    assert report.total("ledger_rows") == ROWS - 11


def test_equal_rows_in_two_tasks_are_asked_once(kept: SparkSession) -> None:
    """Both tasks run at the same time and hold the same rows."""
    half = table(kept).coalesce(1)
    with configured(kept, {"spark.sparkllm.optimizer.coLocate": "false"}):
        _, report = answers(half.union(half), "product", "review")
    assert report.total("rows") == 2 * ROWS
    assert report.total("requests") == ROWS
    assert report.paid is not None
    assert report.paid["requests"] == ROWS


def test_another_question_or_setting_is_asked_anew(kept: SparkSession) -> None:
    frame = table(kept).where("id < 20").coalesce(1)
    for tokens, requests in (("4", 20), ("4", 0), ("5", 20)):
        with configured(kept, {"spark.sparkllm.maxTokens": tokens}):
            frame.select(llm("Say something short.", "review")).collect()
        assert sparkllm.last_report(kept).total("requests") == requests


def test_a_second_run_asks_only_for_what_failed(kept: SparkSession) -> None:
    frame = table(kept).where("id < 5").coalesce(1)
    cut = llm("Who wrote it?", "review", schema="name STRING NOT NULL")
    asked = frame.select(cut, llm(PROMPT, "review", labels=["yes", "no"]))
    with configured(kept, {"spark.sparkllm.maxTokens": "5"}):
        for requests in (5 + 5, 5):
            asked.collect()
            report = sparkllm.last_report(kept)
            assert (report.total("truncated"), report.total("requests")) == (5, requests)
            assert report.total("ledger_rows") == 10 - requests


def test_a_broken_ledger_costs_a_warning_and_no_row(spark: SparkSession, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir(mode=0o700)
    (broken / "answers-1.sqlite").write_bytes(b"nothing of the kind " * 1000)
    with configured(spark, {"spark.sparkllm.ledger": str(broken)}):
        got, report = answers(table(spark), "review")
    assert set(got.values()) <= {"yes", "no"}
    # Rows 211 to 299 are those of 0 to 88: as another task asks, they may still be under way.
    assert 211 <= report.total("requests") <= ROWS
    assert report.total("rows") == ROWS


def test_another_session_on_the_shared_path_asks_for_nothing(spark: SparkSession, tmp_path: Path) -> None:
    """Two hosts' folders stand for two clusters."""
    shared = {"spark.sparkllm.ledgerSharedPath": str(tmp_path / "shared")}
    found = []
    for host in ("one", "other"):
        with configured(spark, {"spark.sparkllm.ledger": str(tmp_path / host)} | shared):
            found.append(answers(table(spark), "review"))
    assert found[0][0] == found[1][0]
    assert [report.total("requests") for _, report in found] == [211, 0]
