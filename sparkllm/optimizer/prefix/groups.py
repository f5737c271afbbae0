"""Prefix groups and what an order of fields is worth, in bytes served from the KV cache.

The measure is the one of LLM-SQL (Liu et al., MLSys 2025, section 3): with the rows sorted, a value is a hit when the
previous row agrees on it and on every field before it. It speaks of the data part of the prompt only: a static
instruction would flatter it.
"""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.encode import Encoded

__all__ = ["hit_bytes", "prefix_hit_rate", "refine"]


def refine(groups: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Split groups of rows by one more column: int64 group ids 0..k-1 of equal (group, code) pairs.

    >>> refine(np.array([0, 0, 1, 1]), np.array([5, 5, 5, 6])).tolist()
    [0, 0, 1, 2]
    """
    pairs = groups.astype(np.int64) * (int(codes.max(initial=0)) + 1) + codes
    return np.unique(pairs, return_inverse=True)[1].reshape(-1)


def hit_bytes(groups: np.ndarray, codes: np.ndarray, lengths: np.ndarray) -> int:
    """Bytes of one column that repeat within `groups`, the rows that agree on it and on every field before it."""
    _, first = np.unique(groups, return_index=True)
    return int(lengths[codes].sum() - lengths[codes[first]].sum())


def prefix_hit_rate(table: Encoded, order: tuple[int, ...]) -> float:
    """Share of the data's bytes that a cache of any size serves when the rows are sorted by `order`: 0..1.

    >>> from sparkllm.optimizer.encode import encode
    >>> import pyarrow as pa
    >>> table = encode([pa.array(["1", "2", "3"]), pa.array(["xxx", "xxx", "yyy"])], 3)
    >>> prefix_hit_rate(table, (0, 1)), prefix_hit_rate(table, (1, 0))
    (0.0, 0.25)
    """
    groups = np.zeros(len(table.codes), dtype=np.int64)
    hits = total = 0
    for column in order:
        codes, lengths = table.codes[:, column], table.lengths[column]
        groups = refine(groups, codes)
        hits += hit_bytes(groups, codes, lengths)
        total += int(lengths[codes].sum())
    return hits / total if total else 0.0
