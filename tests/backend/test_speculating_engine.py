"""A real engine behind its server, speculating: measured at its start, and told of in the counters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tokenizers import Tokenizer

from sparkllm.backend.client import EngineClient, connect
from sparkllm.backend.control.budget import Terms
from sparkllm.backend.control.service import ControlService
from sparkllm.backend.engine import Sampling
from sparkllm.backend.launch import end
from sparkllm.config import LLMConfig
from sparkllm.report_speculation import speculation_lines
from tests.backend.conftest import prompts
from tests.backend.control.test_channel import within


@pytest.fixture(scope="module")
def engine(config: LLMConfig) -> Iterator[EngineClient]:
    client = connect(replace(config, speculation="ngram"), None, "tests-speculation")
    yield client
    end(client._folder)


def test_its_steps_are_measured_before_it_serves(engine: EngineClient) -> None:
    assert "measured the engine's steps for speculative decoding in" in engine._folder.log.read_text()
    assert engine.counters()["requests"] == 0


def test_drafts_shorten_an_answer_that_repeats_itself(engine: EngineClient) -> None:
    words = Tokenizer.from_str(engine.info.tokenizer_json).encode(
        "a review of a review of a review of", add_special_tokens=False
    )
    sampling = Sampling(max_tokens=200, min_tokens=200)
    answers = engine.submit(prompts([words.ids * 3]), sampling, query="one").result()
    assert answers.column("output_tokens").to_pylist() == [200]
    counts = engine.counters("one")
    print(counts)
    assert counts["speculation_fallbacks"] == 0
    assert counts["speculation_drafted"] > 0
    # The prompt gives the first token; the last step may go past the end.
    assert 199 <= counts["speculation_decodes"] + counts["speculation_accepted"] <= 199 + 8
    assert "tokens a request and step" in speculation_lines(counts)[0][1]


def test_a_query_that_came_before_keeps_its_own_counts(engine: EngineClient) -> None:
    before = engine.counters("one")
    engine.submit(prompts([[5, 6, 7]]), Sampling(max_tokens=20, min_tokens=20), query="two").result()
    assert engine.counters("one") == before
    assert 0 < engine.counters("two")["speculation_decodes"] <= 19


def test_the_driver_is_told_of_batch_and_draft_length_over_time(engine: EngineClient) -> None:
    rows = prompts([[10 + i, 20 + i, 30 + i] * 5 for i in range(16)])
    with ControlService("127.0.0.1", "127.0.0.1") as driver:
        terms = Terms(driver.address)
        engine.submit(rows, Sampling(max_tokens=200, min_tokens=200), query="told", terms=terms).result()
        assert within(3, lambda: driver.progress() and not driver.progress()[-1].running)
        moments = driver.timeline("told")
    print(*moments, sep="\n")
    drafted = [moment for moment in moments if moment.draft_length is not None]
    assert drafted
    assert 15 < max(moment.requests for moment in moments) <= 16
    assert 8 < max(moment.decoding or 0 for moment in drafted) <= 16
    assert 0 < max(moment.draft_length or 0 for moment in drafted) <= 8


def test_labels_are_answered_as_ever(engine: EngineClient) -> None:
    labels = ("positive", "negative", "neutral")
    rows = prompts([[10 + i, 20 + i, 30 + i] * 5 for i in range(60)])
    answers = engine.submit(rows, Sampling(max_tokens=8, choices=labels), query="labels").result()
    assert set(answers.column("text").to_pylist()) <= set(labels)
    assert engine.counters("labels")["speculation_fallbacks"] == 0
