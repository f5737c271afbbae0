"""One global order cut into contiguous parts, one for each engine."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.kernels import kernels_for
from sparkllm.optimizer.ordering.ordering import Ordering

__all__ = ["LEAST_ROWS", "ranges"]

LEAST_ROWS = 100  # of a part: with fewer, what the parts no longer share grows fast
_SNAP = 0.05  # of a part's tokens, how far a cut may move


def ranges(
    ordering: Ordering, table: pa.Table | pa.RecordBatch | Cells | np.ndarray, n: int, shared: np.ndarray | None = None
) -> np.ndarray:
    """Cut the rows in the order in which they are sent into at most `n` contiguous parts of about the same length.

    Each cut moves by up to 5 % of a part to where a row shares least with the one before it: what is shared across a
    cut is computed twice. Parts solved each for itself, or rows dealt by a hash, lose most of the reuse or the balance.

    Args:
        ordering: of `table`, n rows.
        table: the table, whose lengths and shared cells are then looked up; or the length of each row of the table in
            tokens, [rows], with `shared`.
        n: engines, at least 1. Fewer parts come back where a part would have less than 100 rows.
        shared: [rows], the length that each row sent shares with the one before it; None with lengths: nothing is
            known, and no cut moves.

    Returns:
        int64 [parts + 1], ascending from 0 to the number of rows: part k is `ordering.rows[cuts[k] : cuts[k + 1]]`.

    Raises:
        ValueError: n below 1, or lengths that are not one for each row.

    >>> from sparkllm.optimizer.ordering import order
    >>> table = pa.table({"a": [f"value {i // 100}" for i in range(400)], "b": [f"{i:03}" for i in range(400)]})
    >>> ranges(order(table), table, 4).tolist(), ranges(order(table), table, 1000).tolist()
    ([0, 100, 200, 300, 400], [0, 100, 200, 300, 400])
    """
    if n < 1:
        raise ValueError(f"ranges needs at least one engine, not {n}")
    lengths, shared = _lengths(ordering, table, shared)
    if len(lengths) != len(ordering.rows):
        raise ValueError(f"lengths must be one for each of {len(ordering.rows):,} rows, not {len(lengths):,}")
    parts = max(1, min(n, len(lengths) // LEAST_ROWS))
    sums = np.concatenate([np.zeros(1), np.cumsum(lengths[ordering.rows], dtype=np.float64)])
    if sums[-1] <= 0:  # nothing to balance but rows
        sums = np.arange(len(lengths) + 1, dtype=np.float64)
    share = sums[-1] / parts
    cuts = [0]
    for k in range(1, parts):
        low, high = np.searchsorted(sums, [(k - _SNAP) * share, (k + _SNAP) * share])
        cuts.append(max(cuts[-1], _shallowest(shared, sums, int(low), int(high), k * share)))
    return np.array([*cuts, len(lengths)], dtype=np.int64)


def _lengths(
    ordering: Ordering, table: pa.Table | pa.RecordBatch | Cells | np.ndarray, shared: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(table, np.ndarray):
        return table, np.zeros(len(table)) if shared is None else shared
    cells = table if isinstance(table, Cells) else encode_table(table)
    if shared is None and cells.rows == len(ordering.rows):
        shared = kernels_for(cells).shared_with_previous(cells, ordering.rows, ordering.fields)
    return cells.row_lengths(), np.zeros(cells.rows) if shared is None else shared


def _shallowest(shared: np.ndarray, sums: np.ndarray, low: int, high: int, wanted: float) -> int:
    """The cut in low..high before which least is shared; of several the one closest to `wanted`."""
    if high <= low:
        return low
    places = np.arange(low, min(high, len(shared)))
    if not len(places):
        return low
    return int(places[np.lexsort((np.abs(sums[places] - wanted), shared[places]))[0]])
