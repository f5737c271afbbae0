"""Predicted step times: the curve through the profile, its terms, and what measured steps may change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparkllm.spec.context_cost import ContextCost
from sparkllm.spec.profile import Curve, Profile
from sparkllm.spec.step_time import Step, StepTime
from tests.spec.two_cores import MEASURED, profile

# An accelerator: flat to 64 tokens, then 0.1 ms a token; 10 ns a context token.
FLAT = [(n, c, 0.02 + 0.0001 * max(0, n - 64) + 1e-8 * c) for n in (1, 16, 64, 256, 1024) for c in (0, 100_000)]
DRAFT = [(b, k, 0.001 * k * (1 + b / 100)) for b in (1, 100) for k in (0, 2, 8)]


def test_the_measured_steps_of_two_cores_are_met() -> None:
    time = StepTime(profile("ngram"))
    for batch, row in MEASURED.items():
        for k, ms in row.items():
            assert time.seconds(Step(batch, batch * k)) == pytest.approx(ms / 1000, rel=0.05)


def test_flat_then_rising() -> None:
    time = StepTime(Profile(FLAT))
    assert time.seconds(Step(1)) == pytest.approx(time.seconds(Step(64)))
    assert time.seconds(Step(256)) == pytest.approx(0.0392)


def test_tokens_that_nobody_measured_are_not_free() -> None:
    time = StepTime(Profile([(1, 0, 0.02), (64, 0, 0.02)]))
    assert time.seconds(Step(64)) == 0.02
    assert time.seconds(Step(128)) == pytest.approx(0.04)


def test_noise_cannot_make_the_curve_fall() -> None:
    rng = np.random.default_rng(0)
    curve = Curve((n, 0.02 + 0.00001 * n + rng.normal(0, 0.001)) for n in range(1, 200, 5) for _ in range(3))
    assert (np.diff(curve(np.arange(400.0))) >= 0).all()
    assert curve(400.0) > curve(200.0)


def test_one_outlier_in_three_does_not_bend_the_curve() -> None:
    curve = Curve([(1, 0.01), (1, 0.01), (1, 0.5), (64, 0.02), (64, 0.02), (64, 0.02)])
    assert curve.first == 0.01


def test_context_is_told_from_points_of_the_same_batch() -> None:
    time = StepTime(Profile(FLAT))
    assert time.seconds(Step(16, context_tokens=50_000)) - time.seconds(Step(16)) == pytest.approx(0.0005)


def test_context_that_always_grows_with_the_batch_is_not_blamed() -> None:
    together = [(n, 1000 * n, 0.02 + 0.001 * n) for n in (1, 4, 16, 64)]
    assert ContextCost.of(together) == ContextCost()
    assert StepTime(Profile(together)).seconds(Step(16, context_tokens=16_000)) == pytest.approx(0.036)


@pytest.mark.parametrize(("once", "again"), [(1e-6, 0.0), (1e-6, 8e-7), (0.0, 5e-7)])
def test_what_context_costs_drafts_is_told_from_what_it_costs_a_step(once: float, again: float) -> None:
    points = [
        (8 * (1 + k), 8 * c, 0.01 + 0.0004 * 8 * (1 + k) + 8 * c * (once + again * k), 8)
        for k in (0, 1, 4, 8)
        for c in (24, 520)
    ]
    cost = ContextCost.of(points)
    assert cost.once == pytest.approx(once, abs=1e-9)
    assert cost.again == pytest.approx(again, abs=1e-9)
    time = StepTime(Profile(points))
    for tokens, context, seconds, requests in points:
        assert time.seconds(Step(requests, tokens - requests, context)) == pytest.approx(seconds)


def test_the_draft_is_a_table_by_batch_and_length() -> None:
    time = StepTime(Profile(FLAT, DRAFT))
    assert time.draft(Step(1), 8)[[0, 2, 4, 8]] == pytest.approx([0, 0.00202, 0.00404, 0.00808])
    assert time.draft(Step(50), 8)[8] == pytest.approx(0.012)
    assert StepTime(Profile(FLAT)).draft(Step(50), 8).tolist() == [0.0] * 9


def test_a_draft_model_looks_up_the_context_with_each_draft() -> None:
    """As with the target, only lengths that were measured with two contexts tell; the drafts of the table have none."""
    drafts = [(8, k, 0.001 * k + 2e-7 * k * context, context) for context in (256, 2_304) for k in (0, 1, 4, 8)]
    time = StepTime(Profile(FLAT, drafts))
    assert time.draft(Step(8, context_tokens=10_000), 8) == pytest.approx([0.003 * k for k in range(9)])
    assert time.draft(Step(8), 8) == pytest.approx([0.001 * k for k in range(9)])
    step = Step(8, 8, 10_000, draft_length=4)
    assert time.seconds(step) - time.seconds(replace(step, draft_length=0)) == pytest.approx(0.012)
    short = StepTime(Profile(FLAT, drafts[:4]))
    assert short.draft(Step(8, context_tokens=10_000), 8)[8] == pytest.approx(0.008 + 8 * 256 * 2e-7)


def test_verify_is_the_time_of_each_number_of_drafts() -> None:
    time = StepTime(Profile(FLAT, DRAFT))
    step = Step(32, context_tokens=10_000, prefill_tokens=100)
    expected = [time.seconds(replace(step, draft_tokens=x)) for x in range(51)]
    assert time.verify(step, 50) == pytest.approx(expected)


def measured(truth: StepTime, step: Step, rng: np.random.Generator, noise: float = 0.05) -> float:
    return truth.seconds(step) * float(np.exp(rng.normal(0, noise)))


def test_a_slower_machine_is_followed_and_the_relations_stay() -> None:
    time, truth, rng = StepTime(Profile(FLAT)), StepTime(Profile(FLAT)), np.random.default_rng(0)
    for _ in range(200):
        step = Step(16, int(rng.integers(0, 128)))
        time.observe(step, 1.5 * measured(truth, step, rng))
    assert time.seconds(Step(16)) == pytest.approx(1.5 * truth.seconds(Step(16)), rel=0.05)
    assert time.seconds(Step(512)) == pytest.approx(1.5 * truth.seconds(Step(512)), rel=0.1)


def test_a_term_that_alone_is_dearer_than_profiled_is_found() -> None:
    dear = [(n, c, 0.02 + 1.6 * 0.0001 * max(0, n - 64) + 1e-8 * c) for n, c, _ in FLAT]
    time, truth, rng = StepTime(Profile(FLAT)), StepTime(Profile(dear)), np.random.default_rng(0)
    for _ in range(600):
        step = Step(16, int(rng.integers(0, 1000)))
        time.observe(step, measured(truth, step, rng))
    assert time.seconds(Step(16)) == pytest.approx(0.02, rel=0.15)
    assert time.seconds(Step(16, 1000)) == pytest.approx(truth.seconds(Step(16, 1000)), rel=0.1)


def test_a_context_that_all_share_may_cost_a_fifth_of_the_profiles() -> None:
    """A batch drains, and what drafts cost in it is known. Were it the machine that is fast, they would look cheap."""
    rows = [[(n, c, 0.03 + 0.002 * n + s * c) for n in (8, 72) for c in (0, 2000)] for s in (4e-6, 8e-7)]
    (time, truth), rng = (StepTime(Profile(points)) for points in rows), np.random.default_rng(0)
    profiled, real = drafted(time), drafted(truth)
    for batch in [*[64] * 60, *np.repeat(np.arange(64, 0, -1), 4).tolist()]:
        step = Step(batch, 0, 300 * batch)
        time.observe(step, measured(truth, step, rng))
    assert real - profiled > 0.12
    assert drafted(time) == pytest.approx(real, abs=0.05)


def drafted(time: StepTime) -> float:
    """How many times longer a step of 24 requests is with a draft for each."""
    return time.seconds(Step(24, 24, 24 * 300)) / time.seconds(Step(24, 0, 24 * 300))


def test_collinear_inputs_do_not_run_apart() -> None:
    time, truth, rng = StepTime(Profile(FLAT)), StepTime(Profile(FLAT)), np.random.default_rng(0)
    for i in range(1000):
        n = 100 + i % 50
        step = Step(n, 0, context_tokens=500 * n)
        time.observe(step, 1.2 * measured(truth, step, rng, 0.1))
    assert time.factors == pytest.approx(np.full(5, 1.2), abs=0.1)
    elsewhere = Step(4, 0, context_tokens=200_000)
    assert time.seconds(elsewhere) == pytest.approx(1.2 * truth.seconds(elsewhere), rel=0.1)


def test_outliers_are_left_out() -> None:
    time, truth, rng = StepTime(Profile(FLAT)), StepTime(Profile(FLAT)), np.random.default_rng(0)
    for i in range(500):
        step = Step(16, int(rng.integers(0, 128)))
        time.observe(step, measured(truth, step, rng) * (10 if i % 10 == 0 else 1) + (3600 if i == 300 else 0))
    assert time.factors == pytest.approx(np.ones(5), abs=0.05)


def test_a_tail_of_slow_steps_moves_little() -> None:
    time, truth, rng = StepTime(Profile(FLAT)), StepTime(Profile(FLAT)), np.random.default_rng(0)
    for _ in range(500):
        step = Step(16, int(rng.integers(0, 128)))
        time.observe(step, measured(truth, step, rng) * (2.5 if rng.random() < 0.15 else 1))
    assert time.factors.max() < 1.08  # the mean is 1.22


@pytest.mark.parametrize(("times", "bound"), [(20.0, 2.0), (0.05, 0.5)])
def test_a_lasting_change_is_believed_up_to_the_bounds(times: float, bound: float) -> None:
    time, truth = StepTime(Profile(FLAT)), StepTime(Profile(FLAT))
    for _ in range(500):
        time.observe(Step(16, 100), times * truth.seconds(Step(16, 100)))
    assert time.seconds(Step(16, 100)) == pytest.approx(bound * truth.seconds(Step(16, 100)), rel=0.01)


@pytest.mark.parametrize("decodes", [0, 16])
def test_steps_with_prefill_teach_nothing_about_decodes(decodes: int) -> None:
    time, truth = StepTime(Profile(FLAT)), StepTime(Profile(FLAT))
    for _ in range(300):
        step = Step(decodes, 0, context_tokens=1000 * decodes, prefill_tokens=512)
        time.observe(step, 1.7 * truth.seconds(step))
    step = Step(16, 48, 16_000)
    assert time.seconds(step) == pytest.approx(truth.seconds(step), rel=1e-9)
    mixed = Step(decodes, 0, 1000 * decodes, 512)
    assert time.seconds(mixed) > 1.3 * truth.seconds(mixed)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_that_is_none_is_ignored(seconds: float) -> None:
    time = StepTime(Profile(FLAT))
    time.observe(Step(16), seconds)
    assert time.factors.tolist() == [1.0] * 5


def test_an_empty_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="profile the engine first"):
        StepTime(Profile([]))


def test_a_number_of_tokens_that_takes_longer_than_its_neighbours_is_known_by_itself() -> None:
    time, truth, rng = StepTime(Profile(FLAT)), StepTime(Profile(FLAT)), np.random.default_rng(0)
    for i in range(300):
        step = Step(1, i % 4)
        time.observe(step, measured(truth, step, rng) * (1.25 if step.draft_tokens == 1 else 1.0))
    slow, others = time.seconds(Step(1, 1)), [time.seconds(Step(1, k)) for k in (0, 2, 3)]
    assert slow / np.mean(others) == pytest.approx(1.25, abs=0.08)
    assert time.verify(Step(1), 3) == pytest.approx([time.seconds(Step(1, k)) for k in range(4)])
    assert time.seconds(Step(1, 200)) / np.mean(others) == pytest.approx(
        truth.seconds(Step(1, 200)) / truth.seconds(Step(1)), rel=0.1
    )


def test_tokens_of_few_requests_say_nothing_of_a_large_batch() -> None:
    """A request costs time of its own: 72 tokens of eight requests took no longer than 64 of as many."""
    points = [(8, 260, 0.0087, 8), (16, 260, 0.0107, 8), (72, 260, 0.0245, 8), (64, 2656, 0.0258, 64)]
    times = StepTime(Profile([*points, (128, 2656, 0.0436, 64)]))
    first, last = (times.seconds(Step(64, drafts, 2656)) for drafts in (8, 64))
    plain = times.seconds(Step(64, 0, 2656))
    assert first - plain == pytest.approx((last - plain) / 8, rel=0.05)
    assert times.seconds(Step(8, 32, 260)) < 0.0258
