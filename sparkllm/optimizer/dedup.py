"""Rule: rows with the same fields are one prompt."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.prefix.groups import refine

__all__ = ["dedup"]


def dedup(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of [rows, columns] codes.

    Returns:
        first: index of the first row of each distinct one, in order of appearance, int64 [distinct].
        inverse: for each row, its place in `first`, int64 [rows].

    Limits: sees one window of one task; equal rows of other windows and tasks are not its business.

    >>> first, inverse = dedup(np.array([[1, 2], [1, 3], [1, 2]]))
    >>> first.tolist(), inverse.tolist()
    ([0, 1], [0, 1, 0])
    """
    groups = np.zeros(len(codes), dtype=np.int64)
    for column in codes.T:
        groups = refine(groups, column)
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    appearance = np.argsort(first, kind="stable")
    place = np.empty_like(appearance)
    place[appearance] = np.arange(len(appearance))
    return first[appearance], place[inverse.reshape(-1)]
