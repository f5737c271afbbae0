"""The rows of a fixed field order, depth first."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["sort_rows"]


def sort_rows(cells: Cells, order: tuple[int, ...]) -> np.ndarray:
    """Lexicographic order of the rows by the columns in `order`: a permutation, int64 [n]; ties keep their place.

    As many columns as fit share one 63-bit key with the row's place, so that plain sorts of few keys do.

    >>> sort_rows(Cells.of(np.array([[1, 2], [2, 1], [1, 1]]), [[0] * 3] * 2), (0, 1)).tolist()
    [2, 0, 1]
    """
    rows, places = np.arange(cells.rows), np.arange(cells.rows)
    bits = cells.rows.bit_length()
    for columns in reversed(_packed(cells, order, 63 - bits)):
        keys = np.zeros(cells.rows, dtype=np.int64)
        for column in columns:
            keys <<= _bits(cells, column)
            keys |= cells.codes[:, column]
        keys = keys[rows]
        keys <<= bits
        keys |= places
        keys.sort()
        keys &= (1 << bits) - 1
        rows = rows[keys]
    return rows


def _packed(cells: Cells, order: tuple[int, ...], room: int) -> list[list[int]]:
    """The columns, those together whose codes fit into `room` bits."""
    packed: list[list[int]] = []
    left = 0
    for column in order:
        bits = _bits(cells, column)
        if bits > left:
            packed.append([])
            left = room
        packed[-1].append(column)
        left -= bits
    return packed


def _bits(cells: Cells, column: int) -> int:
    return max(1, int(cells.offsets[column + 1] - cells.offsets[column] - 1).bit_length())
