"""Batches as Spark sends them -> growing windows: small first, so that a LIMIT is served early; large later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

__all__ = ["windows"]

_GROWTH = 4


def windows(batches: Iterable[pa.Array], first_rows: int, most_rows: int) -> Iterator[pa.Array]:
    """Cut and join arrays into windows of `first_rows`, 4 x, 16 x, ... up to `most_rows`; the last may be shorter.

    No row is read from `batches` before the window that needs it.

    >>> [len(w) for w in windows([pa.array(range(7)), pa.array(range(4))], 2, 5)]
    [2, 5, 4]
    """
    size, rows = max(1, first_rows), 0
    held: list[pa.Array] = []
    for batch in batches:
        start = 0
        while rows + len(batch) - start >= size:
            stop = start + size - rows
            yield pa.concat_arrays([*held, batch.slice(start, stop - start)])
            held, rows, start = [], 0, stop
            size = min(size * _GROWTH, max(1, most_rows))
        held.append(batch.slice(start))
        rows += len(batch) - start
    if rows:
        yield pa.concat_arrays(held)
