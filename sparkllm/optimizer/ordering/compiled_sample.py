"""Drawing rows by a hash of their values, compiled; `vectorised_sample` does the same in NumPy and describes it."""

from __future__ import annotations

import numpy as np
from numba import njit

from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["sample_rows"]


def sample_rows(cells: Cells, columns: np.ndarray, share: float) -> np.ndarray:
    """See `vectorised_sample.sample_rows`."""
    wide = int(cells.offsets[columns[0] + 1] - cells.offsets[columns[0]])
    return _sample_rows(cells.codes, wide, columns, np.uint64(round(share * 2**53)))


@njit(cache=True)
def _mixed(x):  # type: ignore[no-untyped-def]
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True)
def _sample_rows(codes, wide, columns, below):  # type: ignore[no-untyped-def]
    chosen = np.empty(1024, np.int64)
    count, first = 0, columns[0]
    begun = np.empty(wide, np.uint64)  # the hash of each value of the first column, mixed once and not for every row
    for code in range(wide):
        begun[code] = _mixed(np.uint64(first + 1) + np.uint64(code))
    for row in range(len(codes)):
        x = begun[codes[row, first]]
        for k in range(1, len(columns)):
            x = _mixed(x + np.uint64(columns[k] + 1) + np.uint64(codes[row, columns[k]]))
        if x >> np.uint64(11) < below:
            if count == len(chosen):
                larger = np.empty(2 * count, np.int64)
                larger[:count] = chosen
                chosen = larger
            chosen[count] = row
            count += 1
    return chosen[:count].copy()
