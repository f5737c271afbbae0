"""The spanning tree of the bound, in NumPy."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["heaviest_tree"]


def heaviest_tree(cells: Cells) -> int:
    """The weight of the heaviest tree that spans the rows, where an edge weighs the cells that two rows agree on.

    Prim's algorithm: n^2 * m time, n memory. With no rows it is 0.

    >>> heaviest_tree(Cells.of(np.array([[1, 1], [1, 2], [2, 2]]), [[0, 3, 3], [0, 5, 5]]))
    8
    """
    left = np.arange(1, cells.rows)
    agree = np.full(max(0, cells.rows - 1), -1, dtype=np.int64)
    row, total = 0, 0
    while len(left):
        both = np.zeros(len(left), dtype=np.int64)
        for column in range(cells.columns):
            same = cells.codes[left, column] == cells.codes[row, column]
            both += same * int(cells.length(column)[cells.codes[row, column]])
        agree = np.maximum(agree, both)
        at = int(agree.argmax())
        total, row = total + int(agree[at]), int(left[at])
        left, agree = np.delete(left, at), np.delete(agree, at)
    return total
