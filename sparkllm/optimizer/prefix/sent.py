"""The cells of a table in the order in which they are sent."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.encode import NULL

__all__ = ["sent_cells"]


def sent_cells(codes: np.ndarray, rows: np.ndarray, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each row's cells from left to right, nulls moved behind the others.

    Args:
        codes: int32 [n, m].
        rows: int64 [k], which rows are sent.
        fields: [f], or [k, f] where row i belongs to rows[i]: columns.

    Returns:
        columns: int64 [k, f].
        codes: int32 [k, f].
        counts: cells of each row that are not null, int64 [k].

    >>> [part.tolist() for part in sent_cells(np.array([[5, 0, 7]]), np.array([0]), np.array([1, 2, 0]))]
    [[[2, 0, 1]], [[7, 5, 0]], [2]]
    """
    columns = np.asarray(fields, dtype=np.int64)
    whole = codes.take(rows, axis=0)
    sent = whole.take(columns, axis=1) if columns.ndim == 1 else np.take_along_axis(whole, columns, axis=1)
    columns = np.broadcast_to(columns, sent.shape)
    present = sent != NULL
    if not present.all():
        nulls_last = np.argsort(~present, axis=1, kind="stable")
        sent, columns = (np.take_along_axis(part, nulls_last, axis=1) for part in (sent, columns))
    return columns, sent, present.sum(axis=1)
