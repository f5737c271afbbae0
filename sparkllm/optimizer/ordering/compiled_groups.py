"""Counting and refining groups of rows, compiled; `vectorised_groups` does the same in NumPy and describes it."""

from __future__ import annotations

import numpy as np
from numba import njit

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.compiled_partition import ascending

__all__ = ["agreeing_pairs", "column_gains", "refine_groups", "shared_with_previous"]


def column_gains(cells: Cells, rows: np.ndarray, starts: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """See `vectorised_groups.column_gains`."""
    return _column_gains(cells.codes, cells.lengths, cells.offsets, rows, starts, columns)


def agreeing_pairs(cells: Cells, rows: np.ndarray, starts: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """See `vectorised_groups.agreeing_pairs`."""
    return _agreeing_pairs(cells.codes, cells.offsets, rows, starts, columns)


def refine_groups(cells: Cells, rows: np.ndarray, starts: np.ndarray, column: int) -> tuple[np.ndarray, np.ndarray]:
    """See `vectorised_groups.refine_groups`."""
    wide = int(cells.offsets[column + 1] - cells.offsets[column])
    return _refine_groups(cells.codes, wide, rows, starts, column)


def shared_with_previous(cells: Cells, rows: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """See `vectorised_groups.shared_with_previous`."""
    order = np.ascontiguousarray(np.atleast_2d(fields), dtype=np.int16)
    return _shared(cells.codes, cells.lengths, cells.offsets, rows, order)


@njit(cache=True)
def _column_gains(codes, lengths, offsets, rows, starts, columns):  # type: ignore[no-untyped-def]
    gains = np.zeros(len(columns), np.int64)
    for k in range(len(columns)):
        column = columns[k]
        first = offsets[column]
        seen = np.zeros(offsets[column + 1] - first, np.int32)
        for group in range(len(starts) - 1):
            for position in range(starts[group], starts[group + 1]):
                code = codes[rows[position], column]
                if seen[code] == group + 1:
                    gains[k] += lengths[first + code]
                else:
                    seen[code] = group + 1
    return gains


@njit(cache=True)
def _agreeing_pairs(codes, offsets, rows, starts, columns):  # type: ignore[no-untyped-def]
    pairs = np.zeros((len(columns), len(starts) - 1), np.int64)
    for k in range(len(columns)):
        column = columns[k]
        count = np.zeros(offsets[column + 1] - offsets[column], np.int64)
        for group in range(len(starts) - 1):
            for position in range(starts[group], starts[group + 1]):
                code = codes[rows[position], column]
                pairs[k, group] += 2 * count[code]
                count[code] += 1
            for position in range(starts[group], starts[group + 1]):
                count[codes[rows[position], column]] = 0
    return pairs


@njit(cache=True)
def _refine_groups(codes, wide, rows, starts, column):  # type: ignore[no-untyped-def]
    count = np.zeros(wide, np.int64)
    out, begins = np.empty(len(rows), np.int64), np.empty(len(rows) // 2 + 1, np.int64)
    keys = np.empty(len(rows), np.int64)
    at, groups = 0, 0
    for group in range(len(starts) - 1):
        distinct = 0
        for position in range(starts[group], starts[group + 1]):
            code = codes[rows[position], column]
            if count[code] == 0:
                keys[distinct] = code
                distinct += 1
            count[code] += 1
        some = keys[:distinct]
        ascending(some)
        for code in some:
            many = count[code]
            count[code] = -1
            if many > 1:
                begins[groups] = at
                count[code] = at
                groups, at = groups + 1, at + many
        for position in range(starts[group], starts[group + 1]):
            code = codes[rows[position], column]
            if count[code] >= 0:
                out[count[code]] = rows[position]
                count[code] += 1
        for code in some:
            count[code] = 0
    begins[groups] = at
    return out[:at].copy(), begins[: groups + 1].copy()


@njit(cache=True)
def _shared(codes, lengths, offsets, rows, fields):  # type: ignore[no-untyped-def]
    m = codes.shape[1]
    shared = np.zeros(len(rows), np.int64)
    step = 0 if len(fields) == 1 else 1
    for place in range(1, len(rows)):
        row, before = rows[place], rows[place - 1]
        k = j = 0
        while True:
            while k < m and codes[row, fields[step * place, k]] == 0:
                k += 1
            while j < m and codes[before, fields[step * (place - 1), j]] == 0:
                j += 1
            if k == m or j == m:
                break
            column = fields[step * place, k]
            code = codes[row, column]
            if column != fields[step * (place - 1), j] or code != codes[before, column]:
                break
            shared[place] += lengths[offsets[column] + code]
            k, j = k + 1, j + 1
    return shared
