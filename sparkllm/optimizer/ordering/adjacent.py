"""How much of each row its predecessor has sent before: whole cells, in the unit of the lengths."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.encode import NULL
from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["shared_with_previous"]

_CHUNK = 1 << 16


def shared_with_previous(cells: Cells, rows: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """Length of the cells that each row of a sequence shares, from its first on, with the row before it: int64 [n].

    Nulls are left out of a prompt and are passed over here. With the rows in depth-first order the sum is what a cache
    of any size serves; in any order it is what a cache of one row serves.

    >>> cells = Cells.of(np.array([[1, 1], [1, 2], [2, 2]]), [[0, 3, 3], [0, 5, 5]])
    >>> shared_with_previous(cells, np.array([0, 1, 2]), np.array([0, 1])).tolist()
    [0, 3, 0]
    """
    shared = np.zeros(len(rows), dtype=np.int64)
    for start in range(1, len(rows), _CHUNK):
        part = slice(start - 1, min(len(rows), start + _CHUNK))
        order = fields if fields.ndim == 1 else fields[part]
        shared[start : part.stop] = _shared(cells, rows[part], order)
    return shared


def _shared(cells: Cells, rows: np.ndarray, fields: np.ndarray) -> np.ndarray:
    columns = np.broadcast_to(fields, (len(rows), cells.columns)).astype(np.int64)
    codes = cells.codes[rows[:, None], columns]
    null = codes == NULL
    if null.any():
        left = np.argsort(null, axis=1, kind="stable")
        columns, codes = np.take_along_axis(columns, left, 1), np.take_along_axis(codes, left, 1)
    keys = np.where(codes == NULL, -1, cells.offsets[columns] + codes)
    same = np.logical_and.accumulate((keys[1:] == keys[:-1]) & (keys[1:] >= 0), axis=1)
    return np.where(same, cells.lengths[np.maximum(keys[1:], 0)], 0).sum(axis=1, dtype=np.int64)
