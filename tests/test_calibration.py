"""A calibration: the fit, and a short sample on an engine whose speed is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm import calibration
from sparkllm.backend.client import connect
from sparkllm.calibration import Part, Speed, as_reported, fitted
from sparkllm.call_report import CallReport
from sparkllm.calls import LLMCall
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.errors import ConfigError
from sparkllm.planned_query import PlannedCall
from sparkllm.report import QueryReport
from tests.settings import configured

TOKENS_A_SECOND = 4000
QUERY = "SELECT llm('Is it about the price?', kind, text) AS a FROM timed"


def made(prompts: int, computed: int, speed: Speed, noise: float = 1.0) -> Part:
    return Part(prompts, computed, 2 * prompts, speed.seconds(prompts, computed) * noise, 0.5)


def test_two_kinds_of_parts_tell_a_prompt_from_a_token() -> None:
    true = Speed(0.004, 0.0001, 0.0, 2.0, 0)
    found = fitted([made(128, 2000, true), made(128, 9000, true), made(512, 8000, true)])
    assert (found.prompt, found.token) == (pytest.approx(0.004, rel=0.01), pytest.approx(0.0001, rel=0.01))
    assert (found.prompts, found.output_tokens, found.apart) == (768, 2.0, 0.5)
    assert found.off < 0.001


def test_noise_of_ten_percent_stays_about_ten_percent_wherever_the_prefix_hits_are() -> None:
    true, random = Speed(0.004, 0.0001, 0.0, 2.0, 0), np.random.default_rng(0)
    for _ in range(50):
        noise = random.uniform(0.9, 1.1, 4)
        counts = [(256, 4000), (256, 20_000)] * 2
        found = fitted([made(*count, true, each) for count, each in zip(counts, noise, strict=True)])
        for computed in (100_000, 1_000_000):
            assert found.seconds(20_000, computed) == pytest.approx(true.seconds(20_000, computed), rel=0.2)


def test_parts_that_contradict_a_model_give_no_time_below_nothing() -> None:
    found = fitted([Part(100, 1000, 200, 2.0), Part(100, 9000, 200, 1.0)])
    assert 0 <= found.token < 1e-5
    assert 1.0 < found.seconds(100, 5000) < 2.0
    assert found.off > 0.2


def test_parts_of_one_kind_share_their_time_between_prompts_and_tokens() -> None:
    found = fitted([Part(100, 5000, 200, 2.0)])
    assert (found.prompt * 100, found.token * 5000) == (pytest.approx(1.0), pytest.approx(1.0))
    assert fitted([Part(100, 0, 200, 2.0)]).prompt == pytest.approx(0.02, rel=0.01)


def test_without_a_request_there_is_no_speed() -> None:
    with pytest.raises(ValueError, match="no prompt was asked"):
        fitted([Part(0, 0, 0, 0.2)])


CALL = LLMCall("classify", None, ("review",))


def reported(
    call: LLMCall = CALL, seconds: float = 12.0, start_ms: int = 2000, settings: dict[str, str] | None = None
) -> QueryReport:
    counts: dict[str, Any] = dict.fromkeys(
        (name for name, kind in CallReport.__annotations__.items() if kind == "int"), 0
    )
    counts |= {"requests": 300, "prompt_tokens": 9000, "cached_tokens": 3000, "output_tokens": 600}
    counts |= {"start_ms": start_ms, "longest_start_ms": start_ms}
    told = {f"{PREFIX}{name}": value for name, value in (settings or {}).items()}
    one = CallReport(call, (), model="demo", settings=told, **counts)
    return QueryReport(7, seconds, True, None, (one,))


def seen(*reports: QueryReport, config: LLMConfig = LLMConfig()) -> Speed | None:  # noqa: B008 (it is frozen)
    return as_reported(reports, PlannedCall(CALL, {"model": "demo"}, None), config)


def test_a_report_tells_the_speed_of_the_same_call_under_the_same_settings() -> None:
    speed = seen(reported())
    assert speed is not None
    assert (speed.prompts, speed.output_tokens, speed.seconds(300, 6000)) == (300, 2.0, pytest.approx(10))
    assert seen(reported(settings={"ledger": "off", "progress": "off"})) is not None
    for other in ({"engine": "dry-run"}, {"maxTokens": "8"}, {"temperature": "0.5"}, {"speculation": "ngram"}):
        assert seen(reported(settings=other)) is None
        assert seen(reported(settings=other), config=reported_config(other)) is not None
    assert seen(reported(replace(CALL, max_tokens=9))) is None


def reported_config(settings: dict[str, str]) -> LLMConfig:
    return LLMConfig.from_spark({f"{PREFIX}{name}": value for name, value in settings.items()})


def test_a_query_that_was_all_start_tells_no_speed() -> None:
    assert seen(reported(seconds=2.0)) is None
    both = seen(reported(seconds=2.0), reported())
    assert both is not None
    assert both.prompts == 300


@pytest.fixture
def timed(spark: SparkSession) -> Iterator[SparkSession]:
    """Many different rows that share a field in groups, and an engine that computes so many tokens a second."""
    text = "concat('number ', sha2(string(id), 256)) AS text"
    kind = "repeat(concat('kind ', string(id % 40), ' of a thing that is for sale. '), 6) AS kind"
    spark.range(0, 700, 1, 1).selectExpr(text, kind).createOrReplaceTempView("timed")
    speed = {"spark.sparkllm.engine": "dry-run", "spark.sparkllm.dryRunTokensPerSecond": str(TOKENS_A_SECOND)}
    with configured(spark, speed):
        yield spark


def test_a_calibrated_estimate_knows_how_fast_its_engine_can_be_at_best(timed: SparkSession) -> None:
    assert sparkllm.explain(QUERY, timed).seconds is None
    estimate = sparkllm.explain(QUERY, timed, calibrate=True)
    [total] = [call.total for call in estimate.calls]
    assert total is not None
    assert total.speed is not None
    assert 200 < total.speed.prompts < 3000
    timed.sql(QUERY).write.format("noop").mode("overwrite").save()
    report = sparkllm.last_report(timed)
    assert (total.calls, total.prompt_tokens) == (
        report.total("requests"),
        pytest.approx(report.total("prompt_tokens")),
    )
    computed = report.total("prompt_tokens") - report.total("cached_tokens")
    least = computed / TOKENS_A_SECOND
    assert least > 3, "long enough to be timed"
    assert estimate.seconds is not None
    assert total.seconds is not None
    assert 0.7 * least < total.seconds < estimate.seconds  # how near: bench/estimate.py
    assert "seconds here" in str(estimate)
    assert "a sample was asked" in str(estimate)


def test_an_application_remembers_what_it_has_measured(timed: SparkSession) -> None:
    sparkllm.explain(QUERY, timed, calibrate=True)
    reports = len(sparkllm.spark_session.last_reports(timed, 100))
    again = sparkllm.explain(f"{QUERY} LIMIT 300", timed)
    assert again.seconds is not None
    assert len(sparkllm.spark_session.last_reports(timed, 100)) == reports
    other = QUERY.replace("price", "size")
    assert sparkllm.explain(other, timed).seconds is None
    timed.sql(f"{other} LIMIT 500").collect()
    reported = sparkllm.last_report(timed)
    seen = sparkllm.explain(f"{other} LIMIT 500", timed).seconds
    assert seen == pytest.approx(reported.running_seconds, rel=0.1), "its own report is a calibration, too"


def test_a_dry_run_tells_nothing_of_another_engine_and_no_length_of_answers(timed: SparkSession) -> None:
    query = "SELECT llm('What is it for?', kind, text) AS a FROM timed LIMIT 300"
    timed.sql(query).collect()
    again = sparkllm.explain(query, timed)
    assert again.seconds is not None
    assert again.total("output_tokens") == 300 * 64
    assert "answers of 64 tokens assumed" in str(again)
    for real in ({"spark.sparkllm.engine": "vllm"}, {"spark.sparkllm.dryRunTokensPerSecond": "10"}):
        with configured(timed, real):
            estimate = sparkllm.explain(query, timed)
        assert estimate.seconds is None
        assert estimate.total("output_tokens") == 300 * 64


def requests(spark: SparkSession) -> int:
    settings = {key: value for key, value in spark.conf.getAll.items() if key.startswith(PREFIX)}
    return connect(LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId).counters()["requests"]


def test_a_calibration_asks_no_more_than_a_query_may(timed: SparkSession) -> None:
    query = "SELECT llm('Is it new?', kind, text), llm('Is it old?', kind, text) FROM timed"
    timed.sql("SELECT llm('Say yes.')").collect()
    before = requests(timed)
    with configured(timed, {"spark.sparkllm.maxCalls": "100"}):
        estimate = sparkllm.explain(query, timed, calibrate=True)
    assert 60 < requests(timed) - before <= 100
    assert estimate.seconds is not None
    with configured(timed, {"spark.sparkllm.maxCalls": "1"}):
        none = sparkllm.explain(query.replace("old", "odd"), timed, calibrate=True)
    assert none.seconds is None
    assert "1 of its calls have no prompts that could be asked" in str(none)
    assert "some hundred prompts" not in str(none)


@pytest.mark.parametrize("limit", ["maxTotalTokens", "maxCost"])
def test_a_calibration_that_cannot_keep_to_a_budget_is_refused(timed: SparkSession, limit: str) -> None:
    budget = {f"spark.sparkllm.{limit}": "5", "spark.sparkllm.costPerHour": "2"}
    with configured(timed, budget), pytest.raises(ConfigError, match=f"cannot keep to spark.sparkllm.{limit}"):
        sparkllm.explain(QUERY, timed, calibrate=True)
    with configured(timed, budget):
        assert sparkllm.explain(QUERY, timed).calls


def test_the_price_of_an_hour_gives_the_price_of_a_query(timed: SparkSession) -> None:
    with configured(timed, {"spark.sparkllm.costPerHour": "3600"}):
        estimate = sparkllm.explain(QUERY, timed, calibrate=True)
    assert estimate.seconds is not None
    assert f" s, {estimate.seconds:,.2f} by costPerHour" in str(estimate), "in any currency"


def test_answers_of_a_calibration_are_kept_and_not_paid_twice(
    shop: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT llm('classify', review) AS c FROM reviews"
    with configured(shop, {"spark.sparkllm.ledger": str(tmp_path / "ledger")}):
        [first] = sparkllm.explain(query, shop, calibrate=True).calls
        assert first.total is not None
        assert first.total.speed is not None
        shop.sql(query).collect()
        report = sparkllm.last_report(shop)
        asked = report.total("requests")
        assert asked + report.total("ledger_prompts") == first.total.calls
        assert report.total("ledger_prompts") >= first.total.speed.prompts
        assert first.total.output_tokens == pytest.approx(2 * first.total.calls)
        monkeypatch.setattr(calibration, "_speeds", {})  # as in a later application, which has the ledger
        [later] = sparkllm.explain(query, shop, calibrate=True).calls
        assert later.total is not None
        assert later.total.speed is not None
        assert later.total.speed.prompts == first.total.speed.prompts
        assert later.total.speed.seconds(200, 2000) > 0
