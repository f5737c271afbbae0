"""What a column adds behind a set of columns, counted on all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.kernels import Kernels

__all__ = ["Counts", "ExactCounts"]

Grouping = tuple[np.ndarray, np.ndarray]


class Counts(Protocol):
    """Joint counts of column sets, exact or estimated; a `state` is what is known of the columns placed so far.

    Attributes:
        rows: that are counted for one set.
    """

    rows: int

    def start(self) -> Any:
        """No column placed."""

    def gains(self, state: Any, columns: Sequence[int]) -> list[float]:
        """Length that each of `columns` would repeat behind the columns placed so far."""

    def place(self, state: Any, column: int) -> Any:
        """One more column placed."""


class ExactCounts:
    """Counts on all rows; states are groups of rows that agree on every column placed, [rows that are not alone]."""

    def __init__(self, cells: Cells, kernels: Kernels) -> None:
        self._cells, self._kernels, self.rows = cells, kernels, cells.rows

    def start(self) -> Grouping:
        """One group of all rows."""
        return np.arange(self._cells.rows), np.array([0, self._cells.rows])

    def gains(self, state: Grouping, columns: Sequence[int]) -> list[float]:
        """Exact, in the unit of the lengths."""
        return self._kernels.column_gains(self._cells, *state, np.array(columns, dtype=np.int64)).tolist()

    def place(self, state: Grouping, column: int) -> Grouping:
        """The groups, refined."""
        return self._kernels.refine_groups(self._cells, *state, column)
