"""The choice's own time is held to a hundredth where drafts gain nothing."""

from __future__ import annotations

import pytest

from sparkllm.spec.rest import Rest


def choices(steps: int, spent: float, seconds: float, gained: float = 0.0, quiet: bool = False, batch: int = 16) -> int:
    rest, made = Rest(), 0
    for _ in range(steps):
        if not rest.now(quiet, batch):
            made += 1
            if not quiet:
                rest.chose(spent, seconds, gained)
    return made


@pytest.mark.parametrize(("spent", "seconds"), [(0.001, 0.004), (0.001, 0.02), (0.002, 0.03)])
def test_choices_that_gain_nothing_cost_a_hundredth(spent: float, seconds: float) -> None:
    assert choices(2000, spent, seconds) * spent <= 0.0101 * 2000 * seconds + 11 * spent


def test_a_choice_without_gain_among_some_with_it_is_no_reason_to_rest() -> None:
    rest, made = Rest(), 0
    for step in range(300):
        made += not rest.now(quiet=False, batch=16)
        rest.chose(0.001, 0.004, gained=0.002 if step % 2 else 0.0)
    assert made == 300


def test_choices_are_never_given_up() -> None:
    assert choices(1000, spent=0.1, seconds=0.001) >= 19


def test_a_choice_that_gains_or_is_cheap_is_made_at_every_step() -> None:
    assert choices(100, spent=0.001, seconds=0.004, gained=0.001) == 100
    assert choices(100, spent=0.001, seconds=0.2) == 100


def test_where_there_is_nothing_to_choose_from_one_step_in_sixteen_is_looked_at() -> None:
    assert choices(160, 0.001, 0.004, quiet=True) == 10


def test_what_is_gained_while_a_choice_stands_counts_for_it() -> None:
    rest, made = Rest(), 0
    for step in range(400):
        if step % 8:
            rest.held(0.010, gained=0.002)
        elif not rest.now(quiet=False, batch=16):
            rest.chose(0.001, 0.010, gained=0.0)
            made += 1
    assert made == 50


def test_a_batch_that_has_shrunk_or_grown_by_more_than_a_quarter_is_looked_at_at_once() -> None:
    for batch in (11, 22):
        rest = resting()
        assert rest.now(quiet=False, batch=14)
        assert not rest.now(quiet=False, batch=batch)
        rest.chose(spent=0.001, seconds=0.004, gained=0.0)
        assert not rest.now(quiet=False, batch=batch)


def resting() -> Rest:
    """In the middle of a long rest, of a batch of 16."""
    rest = Rest()
    while not rest.now(quiet=False, batch=16):
        rest.chose(spent=0.02, seconds=0.004, gained=0.0)
    return rest


def test_a_large_batch_is_looked_at_less_often_by_the_root_of_its_size() -> None:
    made = {batch: choices(20_000, spent=0.001, seconds=0.01, batch=batch) for batch in (4, 16, 64)}
    assert made[4] == made[16]
    assert made[64] == pytest.approx(made[16] / 2, rel=0.03)
