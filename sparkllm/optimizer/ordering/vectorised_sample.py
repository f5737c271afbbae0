"""Drawing rows by a hash of their values, in NumPy."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["sample_rows"]

_CHUNK = 1 << 16


def sample_rows(cells: Cells, columns: np.ndarray, share: float) -> np.ndarray:
    """The rows drawn by a hash of their values in `columns`: int64 [about share * n], ascending.

    Rows that agree on `columns` are drawn together or not at all.

    >>> sample_rows(Cells.of(np.array([[9], [8], [9], [7]]), [[0] * 10]), np.array([0]), 0.5).tolist()
    [0, 2]
    """
    chosen = []
    for start in range(0, cells.rows, _CHUNK):
        mixed = np.zeros(len(cells.codes[start : start + _CHUNK]), dtype=np.uint64)
        for column in columns:
            mixed += np.uint64(column + 1) + cells.codes[start : start + _CHUNK, column].astype(np.uint64)
            mixed = _mix(mixed)
        chosen.append(start + np.flatnonzero(mixed >> np.uint64(11) < np.uint64(round(share * 2**53))))
    return np.concatenate(chosen) if chosen else np.zeros(0, dtype=np.int64)


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
