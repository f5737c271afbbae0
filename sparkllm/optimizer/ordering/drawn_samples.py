"""The samples of a table and the groups of their rows, kept for those who ask again."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.counts import Grouping
from sparkllm.optimizer.ordering.kernels import Kernels

__all__ = ["Base", "DrawnSamples"]

_KEPT = 1 << 26  # cells of samples
_REMEMBERED = 1 << 24  # rows of groupings

Base = tuple[int, ...]


class DrawnSamples:
    """Samples of a table, each drawn by a hash of the values in its base; drawn again, a sample is the same.

    Attributes:
        samples: those that are kept.
        passes: over all rows, for bases of several columns.
    """

    def __init__(self, cells: Cells, kernels: Kernels, rows: int) -> None:
        self._cells, self._kernels, self._rows = cells, kernels, rows
        self.samples: dict[Base, Cells] = {}
        self.passes = 0
        self._lengths: dict[tuple[Base, int], int] = {}
        self._groupings: dict[tuple[Base, tuple[int, ...]], Grouping] = {}

    def sample(self, base: Base) -> Cells:
        """About as many rows as were asked for."""
        if base not in self.samples:
            self.passes += len(base) > 1
            share = self._rows / max(1, self._cells.rows)
            rows = self._kernels.sample_rows(self._cells, np.array(base, dtype=np.int64), share)
            while sum(known.codes.size for known in self.samples.values()) > _KEPT:
                self.samples.pop(next(iter(self.samples)))
            self.samples[base] = self._cells.take(rows)
        return self.samples[base]

    def length(self, base: Base, column: int) -> int:
        """Sum of the lengths of one column."""
        if (base, column) not in self._lengths:
            cells = self.sample(base)
            self._lengths[base, column] = int(cells.length(column)[cells.codes[:, column]].sum(dtype=np.int64))
        return self._lengths[base, column]

    def groups(self, base: Base, order: tuple[int, ...]) -> Grouping:
        """The sample's rows, grouped by the columns in `order`; that of the shorter order is mostly known."""
        if not order:
            rows = self.sample(base).rows
            return np.arange(rows), np.array([0, rows])
        if (base, order) not in self._groupings:
            groups = self.refine(base, self.groups(base, order[:-1]), order[-1])
            if len(self._groupings) * self._rows >= _REMEMBERED:
                self._groupings.clear()
            self._groupings[base, order] = groups
        return self._groupings[base, order]

    def refine(self, base: Base, groups: Grouping, column: int) -> Grouping:
        """Groups of the sample's rows, split by one more column."""
        return self._kernels.refine_groups(self.sample(base), *groups, column)
