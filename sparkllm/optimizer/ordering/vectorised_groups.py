"""Counting and refining groups of rows, in NumPy.

A grouping is `rows`, int64 [r], and `starts`, int64 [groups + 1]: group i is `rows[starts[i] : starts[i + 1]]`. Rows
that are alone are left out: nothing that is asked behind them can repeat.
"""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.encode import NULL
from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["agreeing_pairs", "column_gains", "refine_groups", "shared_with_previous"]

_CHUNK = 1 << 16


def column_gains(cells: Cells, rows: np.ndarray, starts: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Length that each of `columns` repeats within the groups: int64 [columns].

    >>> cells = Cells.of(np.array([[1, 1], [1, 2], [2, 2]]), [[0, 3, 3], [0, 5, 5]])
    >>> column_gains(cells, np.array([0, 1, 2]), np.array([0, 3]), np.array([0, 1])).tolist()
    [3, 5]
    """
    gains = np.zeros(len(columns), dtype=np.int64)
    group = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    for k, column in enumerate(columns):
        lengths = cells.length(column)
        codes = cells.codes[rows, column]
        distinct = np.unique(group * len(lengths) + codes) % len(lengths)
        gains[k] = lengths[codes].sum(dtype=np.int64) - lengths[distinct].sum(dtype=np.int64)
    return gains


def agreeing_pairs(cells: Cells, rows: np.ndarray, starts: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Ordered pairs of different rows of a group that agree on each of `columns`: int64 [columns, groups].

    >>> cells = Cells.of(np.array([[1, 1], [1, 2], [1, 2]]), [[0, 3, 3], [0, 5, 5]])
    >>> agreeing_pairs(cells, np.array([0, 1, 2]), np.array([0, 3]), np.array([0, 1])).tolist()
    [[6], [2]]
    """
    groups = len(starts) - 1
    group = np.repeat(np.arange(groups), np.diff(starts))
    pairs = np.zeros((len(columns), groups), dtype=np.int64)
    for k, column in enumerate(columns):
        wide = len(cells.length(column))
        keys, counts = np.unique(group * wide + cells.codes[rows, column], return_counts=True)
        np.add.at(pairs[k], keys // wide, counts * (counts - 1))
    return pairs


def refine_groups(cells: Cells, rows: np.ndarray, starts: np.ndarray, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the groups by one more column, ascending; rows that are alone are dropped.

    >>> cells = Cells.of(np.array([[2], [1], [2], [3]]), [[0, 1, 1, 1]])
    >>> [part.tolist() for part in refine_groups(cells, np.arange(4), np.array([0, 4]), 0)]
    [[0, 2], [0, 2]]
    """
    group = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    keys = group * len(cells.length(column)) + cells.codes[rows, column]
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    keep = np.flatnonzero(counts[inverse] > 1)
    rows = rows[keep][np.argsort(inverse[keep], kind="stable")]
    return rows, np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[counts > 1])])


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
