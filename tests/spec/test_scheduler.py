"""vLLM's own schedulers under the goodput policy, synchronous and asynchronous, with made-up model outputs."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from sparkllm.backend.speculation import SCHEDULERS, read_sums
from sparkllm.spec.driver import Driver
from sparkllm.spec.rest import Rest
from sparkllm.spec.step_time import StepTime
from tests.spec.made_up_engine import MadeUpWorker, a_request, a_scheduler

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")

# One draft costs a fifth of a step with one request, and as much as its token with many.
PROFILE = {
    "target": [[1, 0, 0.010], [2, 0, 0.012], [8, 0, 0.024], [16, 0, 0.045], [80, 0, 0.24]],
    "draft": [[1, 0, 0.0], [1, 4, 0.002], [16, 0, 0.0], [16, 4, 0.004]],
}
DEPTHS = {False: 1, True: 2}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def scheduler_class(asynchronous: bool) -> Any:
    module, _, name = SCHEDULERS[asynchronous].rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.fixture
def true_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps take what the profile says: those of a made-up worker take no time, and teach nothing."""
    monkeypatch.setattr(StepTime, "observe", lambda self, step, seconds, steps=1: None)
    monkeypatch.setattr(Rest, "chose", lambda self, spent, seconds, gained: None)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("sparkllm")]


def decoded(worker: MadeUpWorker, wanted: dict[str, int]) -> None:
    for name, tokens in wanted.items():
        worker.scheduler.add_request(a_request(name, 5 + 17 * int(name), tokens))
    worker.run()
    assert worker.answers == {name: list(range(1000 * int(name), 1000 * int(name) + n)) for name, n in wanted.items()}


@pytest.mark.usefixtures("true_profile")
@pytest.mark.parametrize("acceptance", [0.0, 0.5, 1.0])
def test_every_token_arrives_once_and_in_order(asynchronous: bool, acceptance: float, tmp_path: Path) -> None:
    scheduler = a_scheduler(scheduler_class(asynchronous), profile=PROFILE, summary=str(tmp_path / "s"))
    worker = MadeUpWorker(scheduler, acceptance, DEPTHS[asynchronous])
    decoded(worker, {str(i): 20 + 9 * i for i in range(12)})
    sums = read_sums(tmp_path / "s")
    assert sums["fallbacks"] == 0
    assert sums["drafted"] == sum(worker.lengths)
    assert sums["drafted"] > 0
    if acceptance in (0.0, 1.0):
        assert sums["accepted"] == acceptance * sums["drafted"]


@pytest.mark.usefixtures("true_profile")
def test_tokens_survive_preemption(asynchronous: bool, tmp_path: Path) -> None:
    scheduler = a_scheduler(scheduler_class(asynchronous), blocks=40, profile=PROFILE, summary=str(tmp_path / "s"))
    worker = MadeUpWorker(scheduler, 0.7, DEPTHS[asynchronous])
    decoded(worker, {str(i): 60 for i in range(10)})
    assert worker.preempted > 0
    assert read_sums(tmp_path / "s")["fallbacks"] == 0


@pytest.mark.usefixtures("true_profile")
def test_lengths_fall_with_the_batch_and_with_acceptance(asynchronous: bool) -> None:
    means = {}
    for batch, acceptance in [(1, 0.9), (16, 0.9), (1, 0.0)]:
        scheduler = a_scheduler(scheduler_class(asynchronous), profile=PROFILE)
        worker = MadeUpWorker(scheduler, acceptance, DEPTHS[asynchronous])
        decoded(worker, {str(i): 150 for i in range(batch)})
        assert 0 in worker.lengths
        means[batch, acceptance] = sum(worker.lengths) / len(worker.lengths)
    assert means[1, 0.9] > 2.5
    assert means[16, 0.9] < 0.7 * means[1, 0.9]
    assert means[1, 0.0] < 0.5


@pytest.mark.usefixtures("true_profile")
def test_an_answer_with_a_seed_is_sampled_without_drafts(asynchronous: bool) -> None:
    scheduler = a_scheduler(scheduler_class(asynchronous), profile=PROFILE)
    worker = MadeUpWorker(scheduler, 1.0, DEPTHS[asynchronous])
    scheduler.add_request(a_request("1", 10, 40, temperature=1.0, seed=3))
    worker.run()
    assert len(worker.answers["1"]) == 40
    assert set(worker.lengths) == {0}


@pytest.mark.usefixtures("true_profile")
def test_no_step_goes_past_the_fewest_tokens_of_an_answer(asynchronous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = a_scheduler(scheduler_class(asynchronous), profile=PROFILE)
    worker = MadeUpWorker(scheduler, 1.0, DEPTHS[asynchronous])
    steps, tokens = [], worker._tokens

    def noted(name: str, drafts: int) -> list[int]:
        steps.append((worker._emitted[name], drafts))
        return tokens(name, drafts)

    monkeypatch.setattr(worker, "_tokens", noted)
    scheduler.add_request(a_request("1", 10, 60, min_tokens=30))
    worker.run()
    assert len(worker.answers["1"]) == 60
    # Tokens that were there before a step, and its drafts: the token behind them is still one of the first 30.
    assert all(before + drafts < 30 for before, drafts in steps if before < 30)
    assert max(drafts for before, drafts in steps if before < 30) > (0 if asynchronous else 2)
    assert max(drafts for before, drafts in steps if before >= 30) > 2


@pytest.mark.usefixtures("true_profile")
def test_aborted_requests_are_forgotten(asynchronous: bool) -> None:
    from vllm.v1.request import RequestStatus

    scheduler = a_scheduler(scheduler_class(asynchronous), profile=PROFILE)
    worker = MadeUpWorker(scheduler, 0.5, DEPTHS[asynchronous])
    for i in range(8):
        scheduler.add_request(a_request(str(i), 10, 100))
    worker.run(steps=20)
    scheduler.finish_requests([str(i) for i in range(4)], RequestStatus.FINISHED_ABORTED)
    worker.run()
    assert all(len(worker.answers[str(i)]) == (100 if i > 3 else len(worker.answers[str(i)])) for i in range(8))
    assert all(len(worker.answers[str(i)]) < 100 for i in range(4))
    assert len(scheduler.driver.policy.acceptance._row) <= 4
    assert not scheduler.driver._under_way


def test_a_failing_policy_is_given_up_with_one_warning(
    asynchronous: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Driver, output: Any, model_output: Any) -> None:
        raise ZeroDivisionError("a mistake")

    scheduler = a_scheduler(scheduler_class(asynchronous), profile=PROFILE, summary=str(tmp_path / "s"))
    worker = MadeUpWorker(scheduler, 0.5, DEPTHS[asynchronous])
    for i in range(3):
        scheduler.add_request(a_request(f"{i + 90}", 10, 50))
    worker.run(steps=10)
    monkeypatch.setattr(Driver, "after", fail)
    with caplog.at_level(logging.WARNING, "sparkllm"):
        decoded_before = len(worker.lengths)
        worker.run()
    assert warnings(caplog) == ["the choice of draft lengths failed; vLLM goes on without drafts"]
    assert all(worker.answers[f"{i + 90}"] == list(range(1000 * (i + 90), 1000 * (i + 90) + 50)) for i in range(3))
    assert set(worker.lengths[decoded_before + 12 :]) == {0}
    assert read_sums(tmp_path / "s")["fallbacks"] == 1


def test_a_vllm_without_the_hooks_decodes_as_ever(
    asynchronous: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sparkllm.spec.scheduler._NEEDED", ("a_hook_of_tomorrow",))
    with caplog.at_level(logging.WARNING, "sparkllm"):
        scheduler = a_scheduler(scheduler_class(asynchronous), profile=PROFILE)
        decoded(MadeUpWorker(scheduler, 0.5, DEPTHS[asynchronous]), {"1": 30, "2": 40})
    assert len(warnings(caplog)) == 1
    assert "lacks Scheduler.a_hook_of_tomorrow" in caplog.text


def test_a_profile_is_measured_by_rounds_before_the_first_request(asynchronous: bool, tmp_path: Path) -> None:
    files: dict[str, Any] = {"summary": str(tmp_path / "s"), "trace": str(tmp_path / "t")}
    scheduler = a_scheduler(scheduler_class(asynchronous), profile_prefix="rounds-", **files)
    worker = MadeUpWorker(scheduler, 0.3, DEPTHS[asynchronous])
    worker._tokens = lambda name, drafts: [5]  # type: ignore[method-assign, assignment]
    for number, batch in enumerate((1, 8)):
        for i in range(batch):
            scheduler.add_request(a_request(f"rounds-{number}-{batch}-{i}", 16, 64))
        worker.run()
        assert all(36 > len(worker.answers[f"rounds-{number}-{batch}-{i}"]) > 30 for i in range(batch))
    del worker._tokens
    worker.answers.clear()
    decoded(worker, {"1": 30})
    profile = json.loads((tmp_path / "t").read_text().splitlines()[0])["profile"]
    assert {tokens for tokens, *_ in profile["target"]} == {1, 2, 3, 5, 8, 16, 24, 40}
    assert {(batch, length) for batch, length, *_ in profile["draft"]} == {(b, k) for b in (1, 8) for k in (0, 1, 2, 4)}
    assert read_sums(tmp_path / "s")["fallbacks"] == 0


def test_without_a_profile_nothing_is_drafted(asynchronous: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sparkllm"):
        worker = MadeUpWorker(a_scheduler(scheduler_class(asynchronous)), 0.5, DEPTHS[asynchronous])
        decoded(worker, {"1": 30, "2": 30})
    assert "expected a profile" in caplog.text
    assert sum(worker.lengths[6:]) == 0
