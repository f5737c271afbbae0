"""A choice stands as long as its time is worth, and no longer than it holds."""

from __future__ import annotations

import pytest

from sparkllm.spec.hold import Hold


def choices(steps: int, spent: float, seconds: float, lengths: list[dict[str, int]]) -> int:
    """Choices made in so many steps; the n-th one comes out as lengths[n % len(lengths)], of 8 drafts."""
    hold, made = Hold(), 0
    for _ in range(steps):
        if hold.take([*lengths[0]]) is None:
            hold.keep(lengths[made % len(lengths)], dict.fromkeys(lengths[0], 8), 8)
            hold.chose(spent, seconds)
            made += 1
    return made


@pytest.mark.parametrize(("spent", "seconds"), [(0.0005, 0.010), (0.0005, 0.020), (0.0009, 0.030)])
def test_choices_cost_a_two_hundredth(spent: float, seconds: float) -> None:
    assert choices(1000, spent, seconds, [{"a": 3, "b": 2}]) * spent <= 0.0054 * 1000 * seconds


def test_a_choice_stands_for_sixteen_steps_at_most() -> None:
    assert choices(1003, 0.01, 0.001, [{"a": 3}]) == pytest.approx(1003 / 16, abs=5)


def test_choices_that_differ_do_not_stand() -> None:
    assert choices(100, 0.001, 0.010, [{"a": 0}, {"a": 4}]) == 100


def test_a_length_that_wanders_a_little_stands() -> None:
    assert choices(1003, 0.01, 0.001, [{"a": 4}, {"a": 5}]) == pytest.approx(1003 / 16, abs=5)


def test_who_verifies_all_there_is_goes_on_with_what_is_asked_for_next() -> None:
    hold = Hold()
    for _ in range(2):
        hold.keep({"a": 3, "b": 1, "c": 3}, {"a": 3, "b": 3, "c": 4}, asked=4)
        hold.chose(0.001, 0.010)
    assert hold.take(["a", "b", "c"]) == [4, 1, 3]


def test_a_cheap_choice_is_made_at_every_step() -> None:
    assert choices(100, 0.00005, 0.010, [{"a": 3}]) == 100


def held(ids: str, prefill: bool = False) -> Hold:
    """A choice of 2 of 4 drafts for each of these requests that stands for more steps."""
    hold = Hold()
    for _ in range(4):
        hold.keep(dict.fromkeys(ids, 2), dict.fromkeys(ids, 4), 4, prefill)
        hold.chose(0.001, 0.010)
    return hold


@pytest.mark.parametrize("ids", ["a", "ac", "abc", "abcd"])
def test_many_other_requests_end_it(ids: str) -> None:
    hold = held("ab")
    assert hold.take("ab") == [2, 2]
    assert hold.take(ids) is None
    assert hold.take("ab") is None


def test_few_may_come_and_go_and_who_comes_verifies_what_is_asked_for() -> None:
    hold = held("abcdefgh")
    assert hold.take("abcdefg") == [2] * 7
    assert hold.take("abcdefxy") == [2, 2, 2, 2, 2, 2, 4, 4]
    assert hold.take("abcdexyz") is None


def test_a_choice_for_a_step_with_prompts_in_it_is_for_such_steps_alone() -> None:
    assert held("abc", prefill=True).take("abc", prefill=True) == [2, 2, 2]
    assert held("abc", prefill=True).take("abc") is None
    assert held("abc").take("abc", prefill=True) == [2, 2, 2]
