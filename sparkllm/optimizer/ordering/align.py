"""The rows of a leaf share no more cells, but beginnings of values: the field that shares most of them comes next."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.kernels import Kernels

__all__ = ["align"]


def align(
    cells: Cells, kernels: Kernels, perm: np.ndarray, fields: np.ndarray, depths: np.ndarray, leaves: np.ndarray
) -> None:
    """Sort the rows of each leaf by the column whose sorted values have the longest common beginnings, and put it next.

    Args: as `vectorised_greedy.greedy` leaves them; `perm` [n] and `fields` [n, m] are changed in place. Hits of whole
    cells stay as they are.
    """
    starts = np.flatnonzero(leaves)
    sizes = np.diff(np.append(starts, len(perm)))
    starts, sizes = starts[sizes > 1], sizes[sizes > 1]
    if not len(starts) or cells.values is None:
        return
    leaf = np.repeat(np.arange(len(starts)), sizes)
    positions = np.arange(len(leaf)) + np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
    free = _free(fields[starts], depths[starts])
    best, most = np.full(len(starts), -1, dtype=np.int64), np.zeros(len(starts), dtype=np.int64)
    for column in range(cells.columns):
        common = _common(cells, kernels, column, free[:, column], leaf, perm[positions])
        best, most = np.where(common > most, column, best), np.maximum(common, most)
    chosen = best[leaf]
    some = np.flatnonzero(chosen >= 0)
    positions, leaf, chosen = positions[some], leaf[some], chosen[some]
    perm[positions] = perm[positions][np.lexsort((cells.codes[perm[positions], chosen], leaf))]
    _move_up(fields, positions, chosen, depths[positions])


def _free(fields: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """bool [leaves, m]: the columns that stand behind the shared ones."""
    free = np.zeros(fields.shape, dtype=bool)
    np.put_along_axis(free, fields.astype(np.int64), np.arange(fields.shape[1]) >= depths[:, None], axis=1)
    return free


def _common(
    cells: Cells, kernels: Kernels, column: int, free: np.ndarray, leaf: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """int64 [leaves]: bytes that neighbours have in common when the leaf's rows are sorted by `column`."""
    some = np.flatnonzero(free[leaf])
    codes, which = cells.codes[rows[some], column], leaf[some]
    order = np.argsort(which * (cells.offsets[column + 1] - cells.offsets[column]) + codes)
    codes, which = codes[order].astype(np.int64), which[order]
    pairs = np.flatnonzero(which[1:] == which[:-1])
    data, starts = texts(cells.values[column])  # type: ignore[index]
    common = kernels.common_prefix(data, starts, codes[pairs], codes[pairs + 1])
    return np.bincount(which[pairs], common, len(free)).astype(np.int64)


def _move_up(fields: np.ndarray, positions: np.ndarray, columns: np.ndarray, depths: np.ndarray) -> None:
    """Put `columns[i]` at place `depths[i]` of row `positions[i]`; what stood between moves back by one."""
    moved = fields[positions]
    found = (moved == columns[:, None]).argmax(axis=1)
    for k in range(fields.shape[1] - 1, 0, -1):
        back = np.flatnonzero((depths < k) & (k <= found))
        moved[back, k] = moved[back, k - 1]
    moved[np.arange(len(moved)), depths] = columns
    fields[positions] = moved


def texts(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a large_string array without nulls, uint8, and where each text begins, int64 [texts + 1].

    >>> data, starts = texts(pa.array(["", "ab", "c"], pa.large_string()))
    >>> bytes(data), starts.tolist()
    (b'abc', [0, 0, 2, 3])
    """
    _, starts, data = values.buffers()
    begins = np.frombuffer(starts, np.int64)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(data or b"", np.uint8), begins
