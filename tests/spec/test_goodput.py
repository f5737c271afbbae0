"""The plan of a step: exact, whatever the time curve."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest

from sparkllm.spec import goodput
from sparkllm.spec.goodput import Gains, Plan, expected_tokens
from sparkllm.spec.profile import Curve

# Seconds by batched tokens: what hardware does, and what it never should.
CURVES = {
    "straight": Curve([(1, 0.011), (100, 0.11)]),
    "flat, then rising": Curve([(1, 0.03), (6, 0.03), (20, 0.1)]),
    "rising, then flat": Curve([(1, 0.01), (5, 0.08), (20, 0.085)]),
    "steps of a tile": Curve([(1, 0.02), (4, 0.02), (5, 0.04), (8, 0.04), (9, 0.06), (12, 0.06), (13, 0.08)]),
}


def by_brute_force(acceptance: np.ndarray, caps: np.ndarray, verify: np.ndarray, match: np.ndarray) -> float:
    """The highest goodput of all plans."""
    plans = itertools.product(*(range(cap + 1) for cap in caps))
    return max(expected_tokens(acceptance, np.array(p), match).sum() / verify[sum(p)] for p in plans)


def test_the_examples_hold() -> None:
    assert doctest.testmod(goodput).failed == 0


def test_expected_tokens_are_those_of_a_simulation() -> None:
    runs = np.random.default_rng(0).geometric(1 - 0.7, 200_000) - 1
    for k in (0, 1, 4, 8):
        assert expected_tokens(0.7, k) == pytest.approx(1 + np.minimum(runs, k).mean(), rel=0.01)
    assert expected_tokens(0.0, 8) == 1
    assert expected_tokens(1.0, 8) == 9
    assert expected_tokens(0.7, 2, match=0.5) == pytest.approx(1 + 0.5 * (0.7 + 0.49))


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("seed", range(25))
def test_no_plan_has_a_higher_goodput(curve: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    acceptance, caps = rng.choice([0.0, 0.3, 0.6, 0.9, 0.99, 1.0, rng.random()], n), rng.integers(0, 5, n)
    match = rng.choice([1.0, rng.random()], n)
    verify = CURVES[curve](n + np.arange(caps.sum() + 1.0))
    plan = Gains(acceptance, caps, match).plan(verify)
    assert (plan.lengths <= caps).all()
    assert plan.tokens == pytest.approx(expected_tokens(acceptance, plan.lengths, match).sum())
    assert plan.seconds == verify[plan.drafts]
    assert plan.goodput == pytest.approx(by_brute_force(acceptance, caps, verify, match))


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("seed", range(10))
def test_no_draft_length_of_a_draft_model_has_a_higher_goodput(curve: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, most = int(rng.integers(1, 4)), 4
    acceptance, draft = rng.random(n), np.cumsum(rng.random(most + 1)) * rng.choice([0.0, 0.001, 0.02])
    verify = CURVES[curve](n + np.arange(n * most + 1.0))
    match = np.ones(n)
    best = [by_brute_force(acceptance, np.full(n, k), verify + draft[k], match) for k in range(most + 1)]
    length, reached = Gains(acceptance, np.full(n, most)).best_length(verify, draft)
    assert reached == pytest.approx(max(best))
    assert best[length] == pytest.approx(max(best))


def test_the_better_draft_comes_first() -> None:
    plan = Gains(np.array([0.9, 0.2]), np.array([4, 4])).plan(np.array([1.0, 1.1, 1.2, 1.3, 9, 9, 9, 9, 9]))
    assert plan.lengths.tolist() == [3, 0]


def test_a_flat_piece_is_used_to_its_end() -> None:
    plan = Gains(np.full(2, 0.05), np.full(2, 8)).plan(np.array([1.0] * 6 + [2.0] * 11))
    assert plan.lengths.tolist() == [3, 2]


def test_a_limit_holds() -> None:
    verify = 1 + 0.1 * np.arange(17)
    plan = Gains(np.full(2, 0.9), np.full(2, 8)).plan(verify, limit=0.35)
    assert plan.drafts == 3
    assert Gains(np.full(2, 0.9), np.full(2, 8)).plan(verify, limit=-1.0).drafts == 0


def test_at_the_price_of_its_own_goodput_a_plan_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        gains = Gains(rng.random(6), np.full(6, 4))
        verify = CURVES["flat, then rising"](6 + np.arange(25.0))
        best = gains.plan(verify)
        priced = gains.plan(verify, price=best.goodput)
        assert priced.goodput == pytest.approx(best.goodput)


def test_nothing_to_draft_is_a_plan_too() -> None:
    plan = Gains(np.array([0.9]), np.array([0])).plan(np.array([0.5]))
    assert plan == Plan(plan.lengths, 1.0, 0.5)
    assert plan.lengths.tolist() == [0]
