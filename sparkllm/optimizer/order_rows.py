"""Rule: rows whose prompts share a prefix follow each other, so that a small KV cache is as good as a large one."""

from __future__ import annotations

import numpy as np

__all__ = ["order_rows"]


def order_rows(codes: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Depth-first (lexicographic) order of the rows by the columns in `order`: a permutation, int64 [n].

    Ties keep their place. Codes sort like their values, so different values with a common beginning end up close. As
    many columns as fit share one 63-bit key with the row's place, so that plain sorts of few keys do.

    Args:
        codes: int [n, m], none negative.
        order: columns.

    >>> order_rows(np.array([[1, 2], [2, 1], [1, 1]]), (0, 1)).tolist()
    [2, 0, 1]
    """
    rows, places = np.arange(len(codes)), np.arange(len(codes))
    bits = len(codes).bit_length()
    widths = {column: int(codes[:, column].max(initial=0)).bit_length() for column in order}
    for columns in reversed(_packed(widths, 63 - bits)):
        keys = np.zeros(len(codes), dtype=np.int64)
        for column in columns:
            keys <<= widths[column]
            keys |= codes[:, column]
        keys = keys[rows]
        keys <<= bits
        keys |= places
        keys.sort()
        keys &= (1 << bits) - 1
        rows = rows[keys]
    return rows


def _packed(widths: dict[int, int], room: int) -> list[list[int]]:
    """The columns, those together whose codes fit into `room` bits."""
    packed: list[list[int]] = []
    left = -1
    for column, bits in widths.items():
        if bits > left:
            packed.append([])
            left = room
        packed[-1].append(column)
        left -= bits
    return packed
