"""Rule: rows whose prompts share a prefix follow each other, so that a small KV cache is as good as a large one."""

from __future__ import annotations

import numpy as np

__all__ = ["order_rows"]


def order_rows(codes: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Depth-first (lexicographic) order of the rows by the fields in `order`: a permutation, int64 [rows].

    Ties keep their place. Codes sort like their values, so different values with a common beginning end up close.

    >>> order_rows(np.array([[1, 2], [2, 1], [1, 1]]), (0, 1)).tolist()
    [2, 0, 1]
    """
    if not order or not len(codes):
        return np.arange(len(codes))
    return np.lexsort(tuple(codes[:, column] for column in reversed(order)))
