"""Characters served, by a cache of any size: the measure of GGR's authors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkllm.optimizer.prefix.sequences import Sequences, longest_earlier
from sparkllm.optimizer.prefix.served import Served

__all__ = ["characters"]


def characters(
    codes: np.ndarray, values: Sequence[Sequence[str]], rows: np.ndarray, fields: np.ndarray, static: int = 0
) -> Served:
    """What each row's values, one behind the other without a separator, share with any earlier row's.

    Source: Liu et al., "Optimizing LLM Queries in Relational Data Analytics Workloads" (arXiv 2403.05821): the row's
    string is looked up in a trie of all earlier ones. It counts what two different values begin with alike, and also
    takes ["ab", "c"] and ["a", "bc"] for the same.

    Args:
        codes: int32 [n, m].
        values: per column, the text of each code; "" for null.
        rows, fields, static: as in `cells`, `static` in characters.

    >>> codes = np.array([[1, 1], [1, 2]], dtype=np.int32)
    >>> characters(codes, [["", "tea"], ["", "cup", "cut"]], np.arange(2), np.array([0, 1])).hits.tolist()
    [0, 5]
    """
    texts = _texts(codes, values, rows, fields)
    items = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4")
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    sequences = Sequences(items, offsets)
    return Served.behind(longest_earlier(sequences), sequences.lengths, static)


def _texts(codes: np.ndarray, values: Sequence[Sequence[str]], rows: np.ndarray, fields: np.ndarray) -> list[str]:
    whole = np.empty(codes.shape, dtype=object)
    for column, texts in enumerate(values):
        whole[:, column] = np.array([*texts, None], dtype=object)[codes[:, column]]
    fields = np.broadcast_to(np.asarray(fields, dtype=np.int64), codes.shape)
    return ["".join(row) for row in np.take_along_axis(whole[rows], fields, axis=1).tolist()]
