"""Batches as Spark sends them -> growing windows: small first, so that a LIMIT is served early; large later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

__all__ = ["windows"]

_GROWTH = 4
# Long texts: their tokens take ten times as much memory, in each of two windows of each of the host's tasks.
_MOST_BYTES = 16 * 2**20


def windows(
    batches: Iterable[pa.Array], first_rows: int, most_rows: int, most_bytes: int = _MOST_BYTES
) -> Iterator[pa.Array]:
    """Cut and join arrays into windows of `first_rows`, 4 x, 16 x, ... up to `most_rows` rows.

    The last may be shorter, and so is one whose rows would exceed `most_bytes` together. No row is read from `batches`
    before the window that needs it.

    >>> [len(w) for w in windows([pa.array(range(7)), pa.array(range(4))], 2, 5)]
    [2, 5, 4]
    """
    size, held = max(1, first_rows), _Held()
    for batch in batches:
        for piece in _pieces(batch, most_bytes):
            if held.rows and held.bytes + piece.nbytes > most_bytes:
                yield held.take()
            start = 0
            while held.rows + len(piece) - start >= size:
                stop = start + size - held.rows
                held.add(piece.slice(start, stop - start))
                yield held.take()
                start, size = stop, min(size * _GROWTH, max(1, most_rows))
            held.add(piece.slice(start))
    if held.rows:
        yield held.take()


class _Held:
    """Rows that wait for their window to be full."""

    def __init__(self) -> None:
        self._parts: list[pa.Array] = []
        self.rows = self.bytes = 0

    def add(self, part: pa.Array) -> None:
        self._parts.append(part)
        self.rows += len(part)
        self.bytes += part.nbytes

    def take(self) -> pa.Array:
        whole = pa.concat_arrays(self._parts)
        self._parts = []
        self.rows = self.bytes = 0
        return whole


def _pieces(batch: pa.Array, most_bytes: int) -> Iterator[pa.Array]:
    rows = max(1, len(batch) * most_bytes // max(1, batch.nbytes))
    for start in range(0, len(batch), rows):
        yield batch.slice(start, rows)
