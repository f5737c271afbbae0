"""The modes: which solvers run, and the exact comparison of what they found."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering.align import align
from sparkllm.optimizer.ordering.beam import best_field_order
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.counts import ExactCounts
from sparkllm.optimizer.ordering.dependence import follows
from sparkllm.optimizer.ordering.kernels import Kernels, kernels_for
from sparkllm.optimizer.ordering.level import Level
from sparkllm.optimizer.ordering.rollout import OutOfTime, rollout
from sparkllm.optimizer.ordering.sample import SampledCounts
from sparkllm.optimizer.ordering.vectorised_greedy import Tree

__all__ = ["Solution", "as_it_is", "best", "fast", "fixed", "shared_cells"]

_COUNT_ALL = 1 << 21  # cells up to which joint counts are taken on all rows
_ALIGN = 1 << 18  # rows up to which it is worth the time to look at common beginnings of values
_SEARCHES = ((2,), (4,), (4, 4))  # widths of the rollouts, each dearer than the one before


@dataclass(frozen=True)
class Solution:
    """A candidate: `rows` int64 [n], `fields` int16 [m] or [n, m] (row i belongs to `rows[i]`)."""

    method: str
    rows: np.ndarray
    fields: np.ndarray
    hits: int


def fixed(cells: Cells, kernels: Kernels, given: tuple[int, ...] = ()) -> Solution:
    """One field order for all rows, from joint counts; the columns `given` stand in front."""
    counts = ExactCounts(cells, kernels) if cells.codes.size <= _COUNT_ALL else SampledCounts(cells, kernels)
    return _sorted("fixed", cells, kernels, best_field_order(counts, cells.columns, given))


def fast(cells: Cells, kernels: Kernels, given: tuple[int, ...] = ()) -> Solution:
    """The greedy solver."""
    return _tree("greedy", replace(cells, follows=follows(cells, kernels)), kernels, given, (), math.inf)


def best(cells: Cells, kernels: Kernels, budget: float | None, started: float, given: tuple[int, ...] = ()) -> Solution:
    """The best of all, by exact evaluation; the searches stop when the budget is spent."""
    deadline = math.inf if budget is None else started + budget
    return max(_portfolio(cells, kernels, given, deadline), key=lambda s: s.hits)


def as_it_is(cells: Cells, kernels: Kernels, given: tuple[int, ...] = ()) -> Solution:
    """Rows are not moved, and no fields but those given."""
    rows, fields = np.arange(cells.rows), np.array(_declared(cells, given), dtype=np.int16)
    return Solution("input", rows, fields, _hits(cells, kernels, rows, fields))


def _declared(cells: Cells, given: tuple[int, ...]) -> tuple[int, ...]:
    return given + tuple(column for column in range(cells.columns) if column not in given)


def _portfolio(cells: Cells, kernels: Kernels, given: tuple[int, ...], deadline: float) -> Iterator[Solution]:
    cells = replace(cells, follows=follows(cells, kernels))
    yield _tree("greedy", cells, kernels, given, (), math.inf)
    yield as_it_is(cells, kernels, given)
    yield _sorted("sorted", cells, kernels, _declared(cells, given))
    yield fixed(cells, kernels, given)
    for widths in _SEARCHES:
        try:
            yield _tree(f"rollout {widths}", cells, kernels, given, widths, deadline)
        except OutOfTime:
            return


def _sorted(method: str, cells: Cells, kernels: Kernels, order: tuple[int, ...]) -> Solution:
    rows, fields = order_rows(cells.codes, order), np.array(order, dtype=np.int16)
    return Solution(method, rows, fields, _hits(cells, kernels, rows, fields))


def _tree(
    method: str, cells: Cells, kernels: Kernels, given: tuple[int, ...], widths: tuple[int, ...], deadline: float
) -> Solution:
    rows, tree = order_rows(cells.codes, given), Tree(cells.rows, cells.columns)
    tree.fields[:, : len(given)] = given
    rollout(Level.below(cells, rows, given), kernels, widths, deadline, tree)
    if cells.rows <= _ALIGN:
        align(cells, kernels, rows, tree.fields, tree.depths, tree.leaves)
    return Solution(method, rows, tree.fields, _hits(cells, kernels, rows, tree.fields))


def shared_cells(cells: Cells, rows: np.ndarray, fields: np.ndarray) -> int:
    """Exact evaluation: length of the cells that rows share with the row before them.

    Args:
        rows: int64 [n], the rows in order.
        fields: int16 [m], or [n, m] where row i belongs to rows[i].
    """
    return _hits(cells, kernels_for(cells), rows, fields)


def _hits(cells: Cells, kernels: Kernels, rows: np.ndarray, fields: np.ndarray) -> int:
    return int(kernels.shared_with_previous(cells, rows, fields).sum())
