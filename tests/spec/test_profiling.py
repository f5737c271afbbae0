"""What becomes of the measured steps of an engine's start."""

from __future__ import annotations

from sparkllm.spec.context_cost import ContextCost
from sparkllm.spec.profiling import Measurement, profile_of


def test_target_and_draft_are_told_apart() -> None:
    steps = [
        Measurement(0, 4, 80, verified=0, asked=0, seconds=0.010),
        Measurement(0, 4, 84, verified=0, asked=8, seconds=0.013),
        Measurement(0, 4, 88, verified=8, asked=0, seconds=0.020),
    ]
    profile = profile_of(steps)
    assert profile is not None
    assert profile.target == ((4, 84, 0.010, 4), (36, 84, 0.020, 4))
    assert [(batch, length) for batch, length, *_ in profile.draft] == [(4, 0), (4, 8)]
    assert abs(profile.draft[1][2] - 0.003) < 1e-9


def test_a_busy_moment_does_not_count() -> None:
    profile = profile_of([Measurement(0, 1, 16, 0, 0, seconds) for seconds in (0.010, 0.500)])
    assert profile is not None
    assert profile.target == ((1, 16, 0.010, 1),)


def test_the_cost_of_context_comes_from_rounds_that_differ_in_nothing_else() -> None:
    short = [Measurement(0, 8, 128 + 8 * i, 0, 0, 0.010 + 0.001 * (-1) ** i) for i in range(6)]
    profile = profile_of(short)
    assert profile is not None
    assert ContextCost.of(profile.target).once == 0  # a few tokens more of one round are no evidence
    both = profile_of([*short, *(Measurement(1, 8, 4096, 0, 0, 0.013) for _ in range(3))])
    assert both is not None
    assert 0 < ContextCost.of(both.target).once < 2e-6


def test_nothing_measured_is_no_profile() -> None:
    assert profile_of([]) is None


def test_a_machine_that_slows_down_under_way_is_no_cost_of_drafts() -> None:
    steps, slow = [], 1.0
    for verified, asked in ((0, 0), (0, 8), (8, 0)) * 3 + ((0, 0),):
        seconds = 0.010 + 0.001 * verified + 0.0005 * asked
        steps.append(Measurement(0, 16, 80, verified, asked, seconds * slow))
        slow *= 1.05
    profile = profile_of(steps)
    assert profile is not None
    plain, verifying = (point[2] for point in profile.target)
    assert 0.96 < verifying / plain / 1.8 < 1.04  # of the shortest steps alone 1.1
    assert 0.9 < profile.draft[1][2] / 0.004 < 1.1
