"""The search for one field order is as good as trying every set of columns, also where the best first column is not."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.optimizer.ordering.beam import best_field_order
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.completion import Completion
from sparkllm.optimizer.ordering.counts import ExactCounts
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.kernels import kernels_for
from sparkllm.optimizer.ordering.sample import SampledCounts
from tests.optimizer.ordering_tables import orders_joined, random_table, tables


def exact(cells: Cells) -> ExactCounts:
    return ExactCounts(cells, kernels_for(cells))


def hits(cells: Cells, order: tuple[int, ...]) -> float:
    counts, found = exact(cells), 0.0
    state = counts.start()
    for column in order:
        found += counts.gains(state, [column])[0]
        state = counts.place(state, column)
    return found


def most_hits(cells: Cells) -> float:
    """Over all orders, by the best order of every set of columns."""
    counts = exact(cells)
    layer = {frozenset[int](): (0.0, counts.start())}
    for _ in range(cells.columns):
        larger: dict[frozenset[int], tuple[float, tuple, int]] = {}
        for placed, (found, state) in layer.items():
            rest = [column for column in range(cells.columns) if column not in placed]
            for column, gain in zip(rest, counts.gains(state, rest), strict=True):
                old = larger.get(placed | {column})
                if old is None or found + gain > old[0]:
                    larger[placed | {column}] = found + gain, state, column
        layer = {placed: (found, counts.place(state, column)) for placed, (found, state, column) in larger.items()}
    return next(iter(layer.values()))[0]


@pytest.mark.parametrize("wrong", [0.0, 0.03])
@pytest.mark.parametrize("seed", range(3))
def test_short_columns_that_belong_together_come_before_a_longer_one(seed: int, wrong: float) -> None:
    cells = orders_joined(seed, wrong)
    order = best_field_order(exact(cells), cells.columns)
    assert hits(cells, order) == most_hits(cells)
    assert order.index(0) >= 5


def test_a_sample_finds_what_belongs_together() -> None:
    cells = orders_joined(0, 0.03, 20_000)
    order = best_field_order(SampledCounts(cells, kernels_for(cells), 4000), cells.columns)
    assert hits(cells, order) == pytest.approx(most_hits(cells), rel=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_the_beam_is_as_good_as_all_sets_of_columns(seed: int) -> None:
    cells = encode_table(random_table(seed, 300, 8))
    assert hits(cells, best_field_order(exact(cells), 8)) >= 0.995 * most_hits(cells)


def test_columns_that_are_given_stay_in_front() -> None:
    cells = orders_joined(1, 0.0)
    assert best_field_order(exact(cells), cells.columns, (6, 0))[:2] == (6, 0)


@settings(max_examples=80, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_nothing_that_follows_exceeds_the_bound(table: pa.Table, random) -> None:  # type: ignore[no-untyped-def]
    cells = encode_table(table)
    counts, order = exact(cells), list(range(cells.columns))
    random.shuffle(order)
    first = np.array(counts.gains(counts.start(), range(cells.columns)), dtype=float)
    completion, state, found, gains = Completion.of(counts, counts.start(), first), counts.start(), 0.0, first
    for place, column in enumerate(order):
        if gains[column] == 0:
            break
        bound, promise = completion.of_each(gains)
        assert hits(cells, tuple(order)) <= found + bound[column]
        assert gains[column] <= promise[column] <= bound[column] + 1e-6
        found, state = found + gains[column], counts.place(state, column)
        rest = order[place + 1 :]
        gains = np.zeros(cells.columns)
        gains[rest] = counts.gains(state, rest) if rest else []


def test_two_hundred_columns_of_a_large_table_are_ordered_in_seconds() -> None:
    random = np.random.default_rng(0)
    many = [2, 5, 40, 900, 30_000] * 40
    cells = Cells.of(
        np.stack([random.integers(1, k + 1, 60_000) for k in many], 1), [np.r_[0, np.full(k, 9)] for k in many]
    )
    begin = time.process_time()
    counts = SampledCounts(cells, kernels_for(cells))
    order = best_field_order(counts, 200)
    assert time.process_time() - begin < 30  # 2 s on a quiet core
    assert sorted(order) == list(range(200))
    assert len(counts._drawn.samples) < 250
    assert sum(sample.codes.size for sample in counts._drawn.samples.values()) < 1.2 * (1 << 26)
