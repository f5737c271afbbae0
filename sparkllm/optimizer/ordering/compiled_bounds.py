"""The spanning tree of the bound, compiled; `vectorised_bounds` does the same in NumPy and describes it."""

from __future__ import annotations

import numpy as np
from numba import njit

from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["heaviest_tree"]


def heaviest_tree(cells: Cells) -> int:
    """See `vectorised_bounds.heaviest_tree`."""
    lengths = np.empty(cells.codes.shape, dtype=np.int32)
    for column in range(cells.columns):
        lengths[:, column] = cells.length(column)[cells.codes[:, column]]
    return int(_heaviest_tree(cells.codes, lengths))


@njit(cache=True)
def _heaviest_tree(codes, lengths):  # type: ignore[no-untyped-def]
    n, m = codes.shape
    agree = np.full(n, -1, np.int64)
    left = np.arange(1, n)
    row, total = 0, 0
    for rest in range(n - 1, 0, -1):
        most, at = -1, 0
        for k in range(rest):
            other = left[k]
            both = 0
            for column in range(m):
                if codes[other, column] == codes[row, column]:
                    both += lengths[row, column]
            if both > agree[other]:
                agree[other] = both
            if agree[other] > most:
                most, at = agree[other], k
        total += most
        row = left[at]
        left[at] = left[rest - 1]
    return total
