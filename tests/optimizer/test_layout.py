"""The cost model of the prompt's layout, against a cache that is simulated block by block."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sparkllm.optimizer.layout import (
    LEAST_SAVING,
    Workload,
    computed_tokens,
    data_first,
    least_data,
    saving,
    window_rows,
)
from sparkllm.optimizer.prefix.block_prefixes import BlockPrefixes

REVIEWS = Workload(instructions=(20, 30), shares=(1, 1), rows=2000, data=200)


def simulated(work: Workload, first: bool, seed: int = 0) -> int:
    """Tokens that a cold cache of any size does not serve; rows come in groups of two with a common beginning."""
    random = np.random.default_rng(seed)

    def text(tokens: float) -> np.ndarray:
        return random.integers(10, 2**31 - 1, max(0, round(tokens)), dtype=np.int32)

    instructions = [text(tokens) for tokens in work.instructions]
    tail, cache, computed = text(work.tail), BlockPrefixes(work.block), 0
    beginning = np.zeros(0, dtype=np.int32)
    for row in range(work.rows):
        length = work.data + random.integers(-work.block, work.block + 1)  # rows end anywhere in a block
        common = min(length, 2 * work.shared * length)
        if row % 2 == 0:
            beginning = text(common)
        data = np.concatenate([beginning, text(length - len(beginning))])
        for instruction, share in zip(instructions, work.shares, strict=True):
            if random.random() < share:
                parts = [data, instruction, tail] if first else [instruction, data, tail]
                prompt = np.concatenate(parts)
                computed += len(prompt) - cache.add(prompt)
    return computed


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "work",
    [
        REVIEWS,
        replace(REVIEWS, block=32, tail=8),
        replace(REVIEWS, shared=0.4),
        replace(REVIEWS, shares=(1, 0.3)),
        replace(REVIEWS, instructions=(60, 10, 25), shares=(1, 0.5, 0.5)),
        replace(REVIEWS, data=60),
    ],
)
def test_the_model_counts_what_a_simulated_cache_computes(work: Workload, first: bool) -> None:
    assert computed_tokens(work, first) == pytest.approx(simulated(work, first), rel=0.08)


def test_long_data_goes_first_and_short_data_does_not() -> None:
    assert data_first(REVIEWS)
    assert not data_first(replace(REVIEWS, data=30))
    assert saving(replace(REVIEWS, data=30)) < 0


def test_one_call_keeps_its_instruction_first() -> None:
    assert not data_first(replace(REVIEWS, instructions=(20,), shares=(1,)))


def test_a_second_call_that_few_rows_reach_is_not_worth_it() -> None:
    assert data_first(replace(REVIEWS, shares=(1, 0.6)))
    assert not data_first(replace(REVIEWS, shares=(1, 0.1)))


def test_a_cache_that_forgets_in_between_makes_data_first_the_dearer_one() -> None:
    forgets = replace(REVIEWS, survives=False)
    assert saving(forgets) < 0
    assert computed_tokens(forgets, data_first=False) == computed_tokens(REVIEWS, data_first=False)


def test_data_that_rows_share_anyway_is_no_reason() -> None:
    assert saving(replace(REVIEWS, shared=0.8)) < saving(REVIEWS)
    assert not data_first(replace(REVIEWS, shared=0.8))


@pytest.mark.parametrize("shares", [(1, 1), (1, 0.5), (1, 1, 1)])
def test_the_least_data_is_where_the_saving_begins(shares: tuple[float, ...]) -> None:
    instructions = (20.0, 30.0, 40.0)[: len(shares)]
    work = Workload(instructions, shares, rows=10**6, data=0)
    least = least_data(instructions, shares, work.overhead)
    assert saving(replace(work, data=least)) == pytest.approx(LEAST_SAVING, abs=1e-4)
    assert not data_first(replace(work, data=least - 1))


def test_no_data_is_long_enough_for_a_call_that_hardly_any_row_reaches() -> None:
    assert least_data((20, 30), (1, 0.2), 13) == math.inf


def test_a_window_holds_what_the_cache_keeps_for_all_tasks() -> None:
    rows = window_rows(cache_tokens=400_000, tasks=4, row_tokens=250)
    assert rows * 4 * 250 * 4 <= 400_000 < (rows + 1) * 4 * 250 * 4
    assert window_rows(cache_tokens=3_000, tasks=4, row_tokens=250) == 0
