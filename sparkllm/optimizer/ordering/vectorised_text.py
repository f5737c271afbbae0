"""Common beginnings of texts, in NumPy."""

from __future__ import annotations

import numpy as np

__all__ = ["common_prefix"]


def common_prefix(data: np.ndarray, starts: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bytes that each pair of texts has in common from its beginning: int64 [pairs].

    Args:
        data: uint8, all texts, one after the other.
        starts: int64 [texts + 1], where each begins.
        one, other: int64 [pairs], the texts to compare.

    >>> data, starts = np.frombuffer(b"abcabdx", np.uint8), np.array([0, 3, 6, 7])
    >>> common_prefix(data, starts, np.array([0, 1]), np.array([1, 2])).tolist()
    [2, 0]
    """
    common = np.zeros(len(one), dtype=np.int64)
    a, b = starts[one], starts[other]
    most = np.minimum(starts[one + 1] - a, starts[other + 1] - b)
    pairs, k = np.flatnonzero(most > 0), 0
    while len(pairs):
        pairs = pairs[data[a[pairs] + k] == data[b[pairs] + k]]
        k += 1
        common[pairs] = k
        pairs = pairs[most[pairs] > k]
    return common
