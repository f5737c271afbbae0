"""Steps of one shape are learnt from together, others apart."""

from __future__ import annotations

import pytest

from sparkllm.spec.alike_steps import AlikeSteps
from sparkllm.spec.profile import Profile
from sparkllm.spec.step_time import Step, StepTime


class Learnt(StepTime):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__(Profile([(1, 0, 0.01), (64, 0, 0.05)]))
        self.told: list[tuple[Step, float, int]] = []

    def observe(self, step: Step, seconds: float, steps: int = 1) -> None:
        self.told.append((step, round(seconds, 6), steps))


def test_a_slow_step_among_alike_ones_does_not_count() -> None:
    time = Learnt()
    alike = AlikeSteps(time)
    for n in range(5):
        step = Step(4, 8, 100 + n, draft_length=2)
        alike.add(step, (5.0 if n == 2 else 1.1) * time.seconds(step), time.seconds(step))
    assert time.told == []
    alike.learn()
    alike.learn()
    assert time.told == [(step, pytest.approx(1.1 * time.seconds(step), abs=1e-6), 5)]


@pytest.mark.parametrize("other", [Step(3, 8, 100), Step(4, 9, 100), Step(4, 8, 100, draft_length=1)])
def test_another_shape_is_learnt_from_apart(other: Step) -> None:
    time = Learnt()
    alike = AlikeSteps(time)
    for step in (Step(4, 8, 100), Step(4, 8, 101), other):
        alike.add(step, 0.02, 0.01)
    alike.learn()
    assert [(step, steps) for step, _, steps in time.told] == [(Step(4, 8, 101), 2), (other, 1)]


def test_steps_with_prefill_are_learnt_from_one_by_one() -> None:
    time = Learnt()
    alike = AlikeSteps(time)
    for prefill in (0, 50, 50, 0):
        alike.add(Step(4, 8, 100, prefill), 0.02, 0.01)
    alike.learn()
    assert [(step.prefill_tokens, steps) for step, _, steps in time.told] == [(0, 1), (50, 1), (50, 1), (0, 1)]
