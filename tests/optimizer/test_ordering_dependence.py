"""Columns that follow from others are found on the rows, and the greedy solver places them together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparkllm.optimizer.ordering.cells import FOLLOWS_UNIT, Cells
from sparkllm.optimizer.ordering.dependence import follows
from sparkllm.optimizer.ordering.kernels import VECTORISED, kernels_for
from sparkllm.optimizer.ordering.solve import fast, fixed
from tests.optimizer.ordering_tables import orders_joined


def cells_of(*columns: np.ndarray, lengths: tuple[int, ...]) -> Cells:
    return Cells.of(
        np.stack(columns, 1), [np.r_[0, np.full(c.max(), n)] for c, n in zip(columns, lengths, strict=True)]
    )


@pytest.mark.parametrize("rows", [400, 60_000])
def test_what_is_determined_follows_and_what_is_independent_does_not(rows: int) -> None:
    random = np.random.default_rng(0)
    house = random.integers(0, rows // 8, rows)
    cells = cells_of(house + 1, house // 20 + 1, random.integers(1, 4, rows), house % 7 + 1, lengths=(10, 6, 3, 2))
    expected = np.zeros((4, 4), dtype=np.int64)
    expected[0, 1], expected[0, 3] = 6 * FOLLOWS_UNIT, 2 * FOLLOWS_UNIT
    assert (follows(cells, kernels_for(cells)) == expected).all()


def test_a_few_wrong_values_weaken_what_follows() -> None:
    exact, some = (follows(orders_joined(0, wrong, 6000), VECTORISED)[1, 2] for wrong in (0.0, 0.03))
    assert exact == 20 * FOLLOWS_UNIT
    assert some == pytest.approx(0.97**4 * exact, rel=0.03)  # neither of two rows has a wrong value in either column
    assert follows(orders_joined(0, 0.5, 6000), VECTORISED)[1, 2] == 0


def test_nulls_determine_nothing() -> None:
    random = np.random.default_rng(0)
    user, other = random.integers(1, 100, 3000), random.integers(1, 100, 3000)
    known = random.random(3000) < 0.3
    cells = cells_of(np.where(known, user, 0), np.where(known, user, other), lengths=(5, 7))
    assert follows(cells, VECTORISED)[0, 1] == 7 * FOLLOWS_UNIT


def test_the_order_of_the_rows_does_not_matter() -> None:
    cells = orders_joined(1, 0.1, 80_000)
    moved = cells.take(np.random.default_rng(1).permutation(cells.rows))
    kernels = kernels_for(cells)
    assert (follows(cells, kernels) == follows(moved, kernels)).all()


@pytest.mark.parametrize("wrong", [0.0, 0.03])
@pytest.mark.parametrize("seed", range(3))
def test_the_greedy_solver_sees_what_belongs_together(seed: int, wrong: float) -> None:
    cells = orders_joined(seed, wrong)
    assert fast(cells, VECTORISED).hits >= fixed(cells, VECTORISED).hits


def test_the_coarsest_of_what_follows_comes_first() -> None:
    house = np.random.default_rng(0).integers(0, 700, 1000)
    cells = cells_of(house + 1, house // 7 + 1, house // 70 + 1, lengths=(30, 9, 3))
    solution = fast(cells, VECTORISED)
    assert solution.hits == cells.total - 3 * 10 - 9 * 100 - 30 * len(np.unique(house))
    known = replace(cells, follows=follows(cells, VECTORISED))
    assert known.follows is not None
    assert (known.follows > 0).tolist() == [[False, True, True], [False, False, True], [False] * 3]
