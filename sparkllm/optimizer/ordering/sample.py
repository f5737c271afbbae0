"""What a column adds behind a set of columns, estimated from samples that keep groups whole.

The length that repeats within a set T of columns is that of all rows less that of the distinct values of T. A uniform
sample of rows hides repetition: of a value held ten times in ten million rows it shows one row in a hundred, once. So:

- Rows are drawn by a hash of their values in a base, a subset B of T: a distinct value of B is drawn with all its rows
  or not at all. Two rows that agree on T agree on B, so each distinct value of T is drawn whole, with the same
  probability, however often it is held, and the distinct values and the rows of the sample estimate those of the table
  without bias; here their ratio is taken, as it varies less. A sample by B serves every set that contains B.
- B must have many values, none of them heavy: two random rows agree on it with probability of at most 1/1000. That is
  exact for a column, and estimated by the pairs of a uniform sample for a set.
- Where no column of T is such a base, T has few values or its columns have. Its few values show in a uniform sample:
  the share of the sample's rows that are the first of their value is an upper bound of the table's, as repetition only
  grows with the rows. Where the bound is above 1 %, T is its own base, at the price of one pass over all rows.

The hash speaks of codes, which sort like values: the sample does not depend on the order of the rows.
Source: distinct counts from hashed samples: Gibbons, "Distinct sampling for highly-accurate answers to distinct values
queries" (VLDB 2001), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.counts import Grouping
from sparkllm.optimizer.ordering.drawn_samples import Base, DrawnSamples
from sparkllm.optimizer.ordering.kernels import Kernels

__all__ = ["SampledCounts"]

_CELLS = 1 << 19  # of a sample
_ALL_CELLS = 1 << 25  # of the samples by each single column, which are all kept
_PASSES = 64  # over all rows, for bases of several columns
_MOST_AGREE = 1e-3
_FEW = 0.01


@dataclass(frozen=True)
class _State:
    order: tuple[int, ...]
    base: Base | None  # a base that serves every longer order too
    groups: Grouping | None


class SampledCounts:
    """Joint counts of a table too large to count every set of columns on all rows.

    Attributes:
        rows: of a sample, about.
        totals: int64 [m], length of each column; exact, as those that follow.
        repeated: int64 [m], length that each column repeats.
        agreement: float64 [m], the probability that two rows agree on a column.
    """

    def __init__(self, cells: Cells, kernels: Kernels, sample_rows: int | None = None) -> None:
        self._cells, self._kernels = cells, kernels
        m = max(1, cells.columns)
        self.rows = min(cells.rows, sample_rows or min(max(min(_CELLS // m, _ALL_CELLS // m**2), 1 << 10), 1 << 17))
        self._all = tuple(range(cells.columns))
        self._drawn = DrawnSamples(cells, kernels, self.rows)
        totals, agree, repeated = [], [], []
        for column in self._all:
            lengths = cells.length(column).astype(np.int64)
            counts = np.bincount(cells.codes[:, column], minlength=len(lengths))
            totals.append(int(lengths @ counts))
            repeated.append(totals[-1] - int(lengths[counts > 0].sum()))
            agree.append(float((counts / max(1, cells.rows)) @ (counts / max(1, cells.rows))))
        self.totals, self.agreement, self.repeated = np.array(totals), np.array(agree), np.array(repeated)

    def start(self) -> _State:
        """No column placed."""
        return _State((), None, None)

    def gains(self, state: _State, columns: Sequence[int]) -> list[float]:
        """Exact for the first column, estimated behind others."""
        if not state.order:
            return self.repeated[list(columns)].tolist()
        if state.base is not None and state.groups is not None:
            return self._estimate(state.base, state.groups, columns)
        return [self._gain(state.order, column) for column in columns]

    def place(self, state: _State, column: int) -> _State:
        """One more column placed."""
        order = (*state.order, column)
        if state.base is not None and state.groups is not None:
            return _State(order, state.base, self._drawn.refine(state.base, state.groups, column))
        base = self._base(order)
        if self._agreement(base) <= _MOST_AGREE and set(base) <= set(order):
            return _State(order, base, self._drawn.groups(base, order))
        return _State(order, None, None)

    def groups(self, column: int) -> tuple[Cells, np.ndarray, np.ndarray]:
        """A sample, and the groups of its rows by one column."""
        base = self._base((column,))
        return self._drawn.sample(base), *self._drawn.groups(base, (column,))

    def _gain(self, order: tuple[int, ...], column: int) -> float:
        base = self._base((*order, column))
        return self._estimate(base, self._drawn.groups(base, order), [column])[0]

    def _base(self, columns: tuple[int, ...]) -> Base:
        """The base by which a set of columns is counted."""
        lightest = min(columns, key=lambda column: (self.agreement[column], column))
        if self.agreement[lightest] <= _MOST_AGREE:
            return (lightest,)
        rows, starts = self._drawn.groups(self._all, columns)
        sampled = self._drawn.sample(self._all).rows
        if sampled - len(rows) + len(starts) - 1 <= _FEW * sampled:
            return self._all
        itself = tuple(sorted(columns))
        return itself if itself in self._drawn.samples or self._drawn.passes < _PASSES else (lightest,)

    def _agreement(self, base: Base) -> float:
        """The probability that two random rows agree on `base`."""
        if len(base) == 1:
            return self.agreement[base[0]]
        sizes = np.diff(self._drawn.groups(self._all, base)[1])
        sampled = self._drawn.sample(self._all).rows
        return float((sizes * (sizes - 1.0)).sum()) / max(1.0, sampled * (sampled - 1.0))

    def _estimate(self, base: Base, groups: Grouping, columns: Sequence[int]) -> list[float]:
        cells = self._drawn.sample(base)
        gains = self._kernels.column_gains(cells, *groups, np.array(columns, dtype=np.int64)).tolist()
        pairs = zip(columns, gains, strict=True)
        return [self.totals[column] * gain / max(1, self._drawn.length(base, column)) for column, gain in pairs]
