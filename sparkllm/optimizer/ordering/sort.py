"""The rows of a fixed field order, depth first."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["sort_rows"]


def sort_rows(cells: Cells, order: tuple[int, ...]) -> np.ndarray:
    """Lexicographic order of the rows by the columns in `order`: a permutation, int64 [n]; ties keep their place.

    As many columns as fit share one 63-bit key, so that few passes are made.

    >>> sort_rows(Cells.of(np.array([[1, 2], [2, 1], [1, 1]]), [[0] * 3] * 2), (0, 1)).tolist()
    [2, 0, 1]
    """
    keys: list[np.ndarray] = []
    room = 0
    for column in order:
        bits = max(1, int(cells.offsets[column + 1] - cells.offsets[column] - 1).bit_length())
        if bits > room:
            keys.append(np.zeros(cells.rows, dtype=np.int64))
            room = 63
        keys[-1] <<= bits
        keys[-1] |= cells.codes[:, column]
        room -= bits
    if not keys:
        return np.arange(cells.rows)
    return np.lexsort(keys[::-1]) if len(keys) > 1 else np.argsort(keys[0], kind="stable")
