"""Common beginnings of texts, compiled; `vectorised_text` does the same in NumPy."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["common_prefix"]


@njit(cache=True)
def common_prefix(data, starts, one, other):  # type: ignore[no-untyped-def]
    """See `vectorised_text.common_prefix`."""
    common = np.zeros(len(one), np.int64)
    for pair in range(len(one)):
        a, b = starts[one[pair]], starts[other[pair]]
        most = min(starts[one[pair] + 1] - a, starts[other[pair] + 1] - b)
        k = 0
        while k < most and data[a + k] == data[b + k]:
            k += 1
        common[pair] = k
    return common
