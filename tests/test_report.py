"""What a report says, and how."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

import sparkllm
from sparkllm import llm
from sparkllm.report import QueryReport
from tests.settings import configured

CALL = {"task": "classify", "prompt": None, "fields": ["review"], "labels": None, "model": None}
COUNTS = {
    "field_orders": ["0"],
    "rows": 100, "distinct": 60, "requests": 50, "ledger_rows": 9, "ledger_prompts": 8,
    "prompt_tokens": 1000, "cached_tokens": 500, "output_tokens": 100,
    "static_tokens": 400, "cached_data_tokens": 150, "predicted_tokens": 600, "predicted_data_tokens": 180,
    "start_ms": 2000, "longest_start_ms": 2000, "null_fields": 3, "too_long": 2, "truncated": 1,
    "engine_error": 0, "engine_killed": 0, "budget": 0, "pilot_rows": 32,
}  # fmt: skip


def report(**changes: Any) -> QueryReport:
    raw = {"query": 7, "seconds": 12.0, "succeeded": True, "error": None, "calls": [{"call": CALL, **COUNTS}]}
    return QueryReport.from_json(json.dumps(raw | changes))


def test_hit_rates_are_shares_of_tokens_with_and_without_the_instruction() -> None:
    one = report()
    assert (one.prefix_hit_rate, one.data_hit_rate) == (0.5, 0.25)
    assert (one.predicted_hit_rate, one.predicted_data_hit_rate) == (0.6, 0.3)


def test_the_engines_start_does_not_count_as_speed() -> None:
    assert report().rows_per_second == pytest.approx(10)


def test_engines_that_hosts_start_at_the_same_time_are_one_wait() -> None:
    four = COUNTS | {"start_ms": 240_000, "longest_start_ms": 60_000}
    one = report(seconds=90.0, calls=[{"call": CALL, **four}])
    assert one.running_seconds == pytest.approx(30)
    assert "90.0, of them 60.0 starting the engine" in str(one)


def test_the_text_names_every_count_and_reason() -> None:
    text = str(report())
    for part in (
        "llm('classify', review)",
        "60",
        "50",
        "8 prompts, 9 rows",
        "1,000",
        "3: all fields null",
        "2: prompt longer",
        "1: answer cut",
        "25.0 %",
    ):
        assert part in text
    assert "engine error" not in text
    assert "asked first, for the order  32" in text
    assert "asked first" not in str(report(calls=[{"call": CALL, **COUNTS, "pilot_rows": 0}]))


def test_a_failed_query_says_so() -> None:
    assert "failed: it broke" in str(report(succeeded=False, error="it broke\nat line 1"))


def test_speculation_is_told_where_it_is_on() -> None:
    counts = {"requests": 1, "prompt_tokens": 1, "cached_tokens": 0, "output_tokens": 9, "failed": 0, "aborted": 0}
    names = ("steps", "without_drafts", "decodes", "drafted", "accepted", "rejected", "seconds_us", "predicted_us")
    drafts = dict(zip(names, (4, 1, 8, 12, 6, 2, 1000, 1100), strict=True)) | {"fallbacks": 0}
    on = counts | {f"speculation_{name}": n for name, n in drafts.items()}
    text = str(replace(report(), paid=on))
    assert "1.75 tokens a request and step: 1.50 drafted, acceptance 75.0 %" in text
    assert "4 that decode, 1 of them without drafts; predicted time 1.10 of measured" in text
    assert "choice of draft lengths failed" in str(replace(report(), paid=on | {"speculation_fallbacks": 1}))
    assert "speculation" not in str(replace(report(), paid=counts))


def test_the_notebook_view_escapes_what_users_wrote() -> None:
    call = CALL | {"task": None, "prompt": "Is it <b>bold</b>?"}
    view = report(calls=[{"call": call, **COUNTS}])._repr_html_()
    assert "<b>" not in view
    assert "&lt;b&gt;" in view


def test_the_plot_divides_the_prompt_tokens() -> None:
    plot = report().to_svg()
    assert "instruction, cached: 350 tokens (35.0 %)" in plot
    assert "data, cached: 150 tokens (15.0 %)" in plot
    assert "computed: 500 tokens (50.0 %)" in plot
    assert report(calls=[]).to_svg() == ""


def test_paid_is_what_was_used_when_nothing_failed(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(f"review {i}",) for i in range(40)], "review string").coalesce(1)
    frame.select(llm("classify", "review")).collect()
    one = sparkllm.last_report(spark)
    assert one.paid is not None
    used = {name: one.total(name) for name in ("requests", "prompt_tokens", "cached_tokens", "output_tokens")}
    assert {name: one.paid[name] for name in used} == used
    assert used["requests"] == 40


def test_a_failed_attempt_is_paid_for_but_not_used(spark: SparkSession) -> None:
    """The first window is answered, then a row that is too long fails the task."""
    rows = [(f"review {i}",) for i in range(20)] + [("long " * 5000,)]
    frame = spark.createDataFrame(rows, "review string").coalesce(1)
    settings = {"spark.sparkllm.failOnError": "true", "spark.sparkllm.windowRows": "20"}
    with configured(spark, settings), pytest.raises(PythonException):
        frame.select(llm("classify", "review")).collect()
    one = sparkllm.last_report(spark)
    assert one.paid is not None
    assert (one.succeeded, one.paid["requests"], one.total("requests")) == (False, 20, 0)


def test_the_prediction_meets_the_engine_after_a_cold_start(spark: SparkSession) -> None:
    head = "a long description of the one product that all of these reviews are about, word for word the same"
    rows = [(head + " " * (i % 2), f"review number {i}") for i in range(60)]
    frame = spark.createDataFrame(rows, "description string, review string").coalesce(1)
    frame.select(llm("Is this review of a product that nobody asked about before helpful?", "*")).collect()
    one = sparkllm.last_report(spark)
    assert one.predicted_data_hit_rate > 0.25
    assert one.data_hit_rate == pytest.approx(one.predicted_data_hit_rate, abs=0.02)
