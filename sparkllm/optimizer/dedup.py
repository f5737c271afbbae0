"""Rule: rows with the same fields are one prompt."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from sparkllm.optimizer.encode import Encoded
from sparkllm.optimizer.prefix.groups import refine

__all__ = ["dedup", "digests"]

_BYTES = 16


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


def digests(table: Encoded) -> list[bytes]:
    """16 bytes for each row, equal where rows have the same fields, in whatever table of these columns they stand.

    Each distinct value is hashed once, and a row's hash is that of its values' hashes.

    >>> from sparkllm.optimizer.encode import encode
    >>> import pyarrow as pa
    >>> one, other = (digests(encode([pa.array(v), pa.array(["x"] * 2)], 2)) for v in (["a", None], ["", "a"]))
    >>> one[0] == other[1], one[1] == other[0]
    (True, False)
    """
    each = [_digests_of(values)[codes] for values, codes in zip(table.values, table.codes.T, strict=True)]
    rows = np.concatenate(each, axis=1) if each else np.zeros((len(table.codes), 0), dtype=np.uint8)
    return [blake2b(row.tobytes(), digest_size=_BYTES).digest() for row in rows]


def _digests_of(values: list[str]) -> np.ndarray:
    """uint8 [values, 16]; the first stands for null."""
    hashed = (blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest() for value in values[1:])
    null = bytes(_BYTES)
    return np.frombuffer(b"".join([null, *hashed]), dtype=np.uint8).reshape(-1, _BYTES)
