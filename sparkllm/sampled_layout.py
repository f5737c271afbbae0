"""How the prompts of a sample are laid out where several calls ask about the same fields: FieldSketch.scala's rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkllm.optimizer.encode import NULL, Encoded

__all__ = ["unshared_bytes"]

_AROUND = 6  # bytes that stand around a name and its value, as FieldSketch.scala counts them


def unshared_bytes(names: Sequence[str], table: Encoded, order: Sequence[int]) -> float:
    """Mean bytes of a row behind the fields that it shares with the row before it: what is computed of the data.

    Args:
        names: of the fields.
        table: distinct rows as they are sent.
        order: columns of the fields as they stand in the prompts.

    >>> import pyarrow as pa
    >>> from sparkllm.optimizer.encode import encode
    >>> rows = encode([pa.array(["new", "old", "bad"]), pa.array(["lamp", "lamp", "kettle"])], 3)
    >>> unshared_bytes(("a", "b"), rows, (1, 0)), unshared_bytes(("a", "b"), rows, (0, 1))
    (17.666666666666668, 21.666666666666668)
    """
    if not len(table.codes):
        return 0.0
    codes = table.codes[:, list(order)]
    shared = np.zeros(codes.shape, dtype=bool)
    shared[1:] = np.logical_and.accumulate(codes[1:] == codes[:-1], axis=1)
    sizes = [table.lengths[i][table.codes[:, i]] for i in order]
    around = [len(names[i]) + _AROUND for i in order]
    rendered = np.where(codes != NULL, np.array(sizes).T + np.array(around), 0)
    return float((rendered * ~shared).sum() / len(codes))
