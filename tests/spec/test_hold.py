"""A choice stands as long as its time is worth, and no longer than it holds."""

from __future__ import annotations

import pytest

from sparkllm.spec.hold import Hold


def choices(steps: int, spent: float, seconds: float, lengths: list[dict[str, int]], steady: bool = True) -> int:
    """Choices made in so many steps; the n-th one comes out as lengths[n % len(lengths)]."""
    hold, made = Hold(), 0
    for _ in range(steps):
        if hold.take([*lengths[0]]) is None:
            hold.keep(lengths[made % len(lengths)], steady)
            hold.chose(spent, seconds)
            made += 1
    return made


@pytest.mark.parametrize(("spent", "seconds"), [(0.0005, 0.010), (0.0005, 0.020), (0.0009, 0.030)])
def test_choices_cost_a_hundredth(spent: float, seconds: float) -> None:
    assert choices(1000, spent, seconds, [{"a": 3, "b": 2}]) * spent <= 0.0102 * 1000 * seconds


def test_a_choice_stands_for_eight_steps_at_most() -> None:
    assert choices(1003, 0.01, 0.001, [{"a": 3}]) == pytest.approx(1003 / 8, abs=4)


def test_choices_that_differ_do_not_stand() -> None:
    assert choices(100, 0.001, 0.010, [{"a": 0}, {"a": 4}]) == 100


def test_a_choice_among_drafts_of_another_length_does_not_stand() -> None:
    assert choices(100, 0.001, 0.010, [{"a": 0}], steady=False) == 100


def test_a_cheap_choice_is_made_at_every_step() -> None:
    assert choices(100, 0.0001, 0.010, [{"a": 3}]) == 100


@pytest.mark.parametrize("ids", [["a"], ["a", "c"], ["a", "b", "c"]])
def test_other_requests_end_it(ids: list[str]) -> None:
    hold = Hold()
    for _ in range(4):
        hold.keep({"a": 2, "b": 2}, steady=True)
        hold.chose(0.001, 0.010)
    assert hold.take(["a", "b"]) == {"a": 2, "b": 2}
    assert hold.take(ids) is None
    assert hold.take(["a", "b"]) is None
