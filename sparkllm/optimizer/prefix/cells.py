"""Whole cells served, by a cache of any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkllm.optimizer.prefix.sent import sent_cells
from sparkllm.optimizer.prefix.served import Served

__all__ = ["cells"]


def cells(
    codes: np.ndarray, lengths: Sequence[np.ndarray], rows: np.ndarray, fields: np.ndarray, static: int = 0
) -> Served:
    """What each row shares with any earlier one, in whole cells from its beginning.

    A cell is (column, code): equal values of different columns are different cells. Level by level, the rows that agree
    on all cells so far are cut into groups by the next one; all but the first row of a group are served. Rows that are
    alone drop out.

    Args:
        codes: int32 [n, m]; 0 is null and no part of the row.
        lengths: per column, length of each code's cell, whole numbers of any unit; that of code 0 is not read.
        rows: int64 [n], the order in which the rows are sent.
        fields: int16 [m], or [n, m] where row i belongs to rows[i].
        static: length of what stands before every row.

    Limits: group numbers times distinct cells must fit into 63 bits, as they do up to some ten million rows.

    >>> codes = np.array([[1, 1], [1, 2], [2, 1]], dtype=np.int32)
    >>> cells(codes, [np.array([0, 5, 5]), np.array([0, 2, 2])], np.arange(3), np.array([0, 1])).hits.tolist()
    [0, 5, 0]
    """
    columns, sent, counts = sent_cells(codes, rows, fields)
    offsets, widths = _numbered(lengths)
    active, groups = np.arange(len(sent)), np.zeros(len(sent), dtype=np.int64)
    hits, total = np.zeros_like(groups), np.zeros_like(groups)
    for level in range(sent.shape[1]):
        total += widths[offsets[columns[:, level]] + sent[:, level]]
        here = counts[active] > level
        active, groups = active[here], groups[here]
        cell = offsets[columns[active, level]] + sent[active, level]
        groups, sizes, first = _split(groups * len(widths) + cell)
        served = np.ones(len(active), dtype=bool)
        served[first] = False
        hits[active[served]] += widths[cell[served]]
        several = sizes[groups] > 1
        active, groups = active[several], groups[several]
    return Served.behind(hits, total, static)


def _numbered(lengths: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Cells of all columns in one row of numbers: (the first of each column, length of each cell, 0 for nulls)."""
    offsets = np.cumsum([0, *(len(one) for one in lengths)])[:-1].astype(np.int64)
    widths = np.concatenate([np.zeros(0, dtype=np.int64), *(np.asarray(one, dtype=np.int64) for one in lengths)])
    widths[offsets] = 0
    return offsets, widths


def _split(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(group of each row, size of each group, first row of each group)."""
    order = np.argsort(pairs, kind="stable")
    new = np.ones(len(order), dtype=bool)
    new[1:] = pairs[order[1:]] != pairs[order[:-1]]
    starts = np.flatnonzero(new)
    groups = np.empty(len(order), dtype=np.int64)
    groups[order] = np.cumsum(new) - 1
    return groups, np.diff(starts, append=len(order)), order[starts]
