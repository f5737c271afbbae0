"""Conditional acceptance: what counts as a trial, who borrows from whom, and how fast it fades."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sparkllm.spec.acceptance import Acceptance


def step(ids: Sequence[str], drafted: np.ndarray, accepted: np.ndarray) -> list[tuple[str, int, int]]:
    return list(zip(ids, drafted.tolist(), accepted.tolist(), strict=True))


def verify(known: Acceptance, ids: Sequence[str], true: float, length: int, steps: int, seed: int = 0) -> None:
    """`steps` steps in which every request verifies `length` drafts of the true acceptance."""
    rng = np.random.default_rng(seed)
    known.estimates(ids)
    for _ in range(steps):
        runs = rng.geometric(1 - true, len(ids)) - 1
        known.observe([step(ids, np.full(len(ids), length), np.minimum(runs, length))])


def ids(n: int) -> list[str]:
    return [f"r{i}" for i in range(n)]


@pytest.mark.parametrize("true", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("length", [1, 8])
def test_the_estimate_finds_the_conditional_acceptance_whatever_the_draft_length(true: float, length: int) -> None:
    known = Acceptance()
    verify(known, ids(16), true, length, 60)
    assert known.mean == pytest.approx(true, abs=0.05)
    assert known.estimates(ids(16)).acceptance.mean() == pytest.approx(true, abs=0.05)


def test_tokens_behind_the_first_rejection_are_no_trials() -> None:
    known = Acceptance(prior_trials=1e-9)
    known.observe([step(["r"], np.array([8]), np.array([3]))])
    assert known.mean == pytest.approx(3 / 4)  # 3 / 8 by accepted over drafted


def test_a_draft_accepted_to_its_end_has_no_rejection() -> None:
    known = Acceptance(prior_trials=1e-9)
    known.observe([step(["r"], np.array([8]), np.array([8]))])
    assert known.mean == pytest.approx(1.0)


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.2), (0.2, 0.9)])
@pytest.mark.parametrize("batch", [1, 32])
def test_a_jump_is_followed_within_some_tens_of_steps(before: float, after: float, batch: int) -> None:
    means = []
    for seed in range(8):
        known = Acceptance()
        verify(known, ids(batch), before, 4, 200, seed)
        assert known.mean == pytest.approx(before, abs=0.15)
        verify(known, ids(batch), after, 4, 80, seed + 100)
        means.append(known.mean)
    assert np.mean(means) == pytest.approx(after, abs=0.12)


def test_a_new_request_takes_the_fleets_mean() -> None:
    known = Acceptance()
    verify(known, ids(16), 0.5, 4, 60)
    assert known.estimates(["new"]).acceptance[0] == known.mean


def test_a_request_unlike_the_fleet_is_told_apart() -> None:
    known = Acceptance()
    for step in range(40):
        verify(known, ids(15), 0.3, 4, 1, seed=step)
        verify(known, ["good"], 0.95, 4, 1, seed=100 + step)
    estimates = known.estimates([*ids(15), "good"]).acceptance
    assert estimates[-1] > 0.8
    assert estimates[:-1].mean() < 0.45


def test_one_rejection_hardly_moves_a_request() -> None:
    known = Acceptance()
    verify(known, ids(16), 0.9, 4, 60)
    before = known.estimates(["new"]).acceptance[0]
    known.observe([step(["new"], np.array([1]), np.array([0]))])
    assert before - 0.15 < known.estimates(["new"]).acceptance[0] < before


def test_without_drafts_request_and_fleet_go_back_to_the_optimistic_prior() -> None:
    known = Acceptance(prior=0.8)
    verify(known, ids(4), 0.1, 4, 100)
    assert known.estimates(ids(4)).acceptance.max() < 0.3
    for _ in range(400):
        known.observe([step(ids(4), np.zeros(4, dtype=int), np.zeros(4, dtype=int))])
    assert known.estimates(ids(4)).acceptance.min() > 0.7


def test_an_idle_request_goes_back_to_a_fleet_that_goes_on() -> None:
    known = Acceptance()
    verify(known, ["idle"], 0.05, 4, 30)
    for number in range(150):
        verify(known, ids(8), 0.6, 4, 1, seed=number)
        known.observe([step(["idle"], np.zeros(1, dtype=int), np.zeros(1, dtype=int))])
    assert known.estimates(["idle"]).acceptance[0] == pytest.approx(known.mean, abs=0.05)


def test_match_rate_and_acceptance_are_apart() -> None:
    known, rng = Acceptance(), np.random.default_rng(0)
    for step in range(200):
        known.offer(ids(8), rng.random(8) < 0.25)
        verify(known, ids(8), 0.9, 4, 1, seed=step)
    assert known.match_rate == pytest.approx(0.25, abs=0.06)
    assert known.estimates(ids(8)).match_rate.mean() == pytest.approx(0.25, abs=0.06)
    assert known.mean == pytest.approx(0.9, abs=0.03)


def test_a_forgotten_request_leaves_its_place_to_another() -> None:
    known = Acceptance()
    for i in range(1000):
        assert known.estimates([f"r{i}"]).trials[0] == 0
        verify(known, [f"r{i}"], 0.1, 4, 3)
        known.forget(f"r{i}")
    assert known.estimates(["next"]).trials[0] == 0
    assert len(known._counts) == 64


def test_more_requests_than_places_are_kept_apart() -> None:
    known = Acceptance()
    many = ids(200)
    known.estimates(many)
    known.observe([step(many, np.full(200, 2), np.arange(200) % 3)])
    trials = known.estimates(many).trials
    assert trials.tolist() == [float(min(i % 3 + 1, 2)) for i in range(200)]


def test_a_request_forgotten_before_its_last_step_still_tells_about_the_fleet() -> None:
    known = Acceptance()
    known.estimates(["r"])
    known.forget("r")
    known.observe([step(["r"], np.array([4]), np.array([0]))])
    assert known.mean < 0.8
    assert not known._row


def test_steps_observed_together_fade_together_what_was_before() -> None:
    one, other = Acceptance(), Acceptance()
    before, steps = step(["r"], np.array([6]), np.array([1])), [step(["r"], np.array([2]), np.array([2]))] * 3
    for known in (one, other):
        known.estimates(["r"])
        known.observe([before])
    one.observe(steps)
    for single in steps:
        other.observe([single])
    assert one.estimates(["r"]).acceptance == pytest.approx(other.estimates(["r"]).acceptance, abs=0.01)
    assert one.mean == pytest.approx(other.mean, abs=0.01)


def test_requests_that_differ_by_luck_alone_are_taken_to_be_alike() -> None:
    known = Acceptance()
    for number in range(60):
        verify(known, ids(16), 0.7, 3, 1, seed=number)
    assert np.ptp(known.estimates(ids(16)).acceptance) < 0.12
    assert known.estimates(ids(16)).acceptance == pytest.approx(np.full(16, known.mean), abs=0.08)


def test_requests_that_truly_differ_keep_their_own() -> None:
    known = Acceptance()
    for number in range(60):
        verify(known, ["good"], 0.95, 3, 1, seed=number)
        verify(known, ["poor", "bad"], 0.2, 3, 1, seed=number)
    good, poor, _ = known.estimates(["good", "poor", "bad"]).acceptance
    assert good > 0.85
    assert poor < 0.35
