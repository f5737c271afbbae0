"""The greedy solver, compiled: depth first over an explicit stack, rows permuted in place.

`vectorised_greedy` does the same level by level in NumPy, with exactly the same result; it says what is computed.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparkllm.optimizer.ordering.level import Level
from sparkllm.optimizer.ordering.vectorised_greedy import Tree

__all__ = ["greedy"]


@njit(cache=True)
def _gains(codes, lengths, offsets, perm, start, end, columns, seen, mark, gain, again):  # type: ignore[no-untyped-def]
    """Per column: rows that repeat an earlier value of the node, and the lengths of what they repeat."""
    gain[: len(columns)] = 0
    again[: len(columns)] = 0
    for position in range(start, end):
        row = perm[position]
        for k in range(len(columns)):
            cell = offsets[columns[k]] + codes[row, columns[k]]
            if seen[cell] == mark:
                gain[k] += lengths[cell]
                again[k] += 1
            else:
                seen[cell] = mark


@njit(cache=True)
def _partition(codes, column, perm, start, end, place, touched, moved):  # type: ignore[no-untyped-def]
    """Stable counting partition: values held twice or more, ascending, then those held once; where the latter begin."""
    distinct = 0
    for position in range(start, end):
        code = codes[perm[position], column]
        if place[code] == 0:
            touched[distinct] = code
            distinct += 1
        place[code] += 1
    keys = np.sort(touched[:distinct])
    at = start
    for many in (True, False):
        if not many:
            singles = at
        for code in keys:
            if place[code] >= 2 if many else place[code] == 1:
                touched[at - start] = at + place[code]  # where the group that begins here ends
                place[code], at = -at - 1, at + place[code]
    for position in range(start, end):
        row = perm[position]
        code = codes[row, column]
        moved[-place[code] - 1 - start] = row
        place[code] -= 1
    perm[start:end] = moved[: end - start]
    for code in keys:
        place[code] = 0
    return singles


@njit(cache=True)
def _finish(fields, start, end, depth, used):  # type: ignore[no-untyped-def]
    """The columns that a leaf has not emitted, in the order of the table."""
    used[:] = False
    for k in range(depth):
        used[fields[start, k]] = True
    for column in range(len(used)):
        if not used[column]:
            for position in range(start, end):
                fields[position, depth] = column
            depth += 1


@njit(cache=True)
def _descend(codes, lengths, offsets, perm, fields, depths, leaves, first, last, columns, emitted, work):  # type: ignore[no-untyped-def]
    """One node with everything below it; returns its hits. `columns` are those that may still repeat in it."""
    seen, mark, place, touched, moved, starts, ends, frames = work
    m = codes.shape[1]
    record = fields.shape[0] > 0
    lists = np.empty((4 * m + 4, m), np.int64)
    counts = np.empty(4 * m + 4, np.int64)
    emit = np.empty(4 * m + 4, np.int64)
    gain, again = np.empty(m, np.int64), np.empty(m, np.int64)
    used = np.empty(m, np.bool_)
    lists[0, : len(columns)] = columns
    counts[0], emit[0] = len(columns), emitted
    starts[0], ends[0], frames[0] = first, last, 0
    top, hits = 1, 0
    while top > 0:
        top -= 1
        start, end, frame = starts[top], ends[top], frames[top]
        depth, rows = emit[frame], end - start
        live = 0
        below = lists[frame + 1]
        best, best_gain = -1, 0
        if rows > 1:
            mark[0] += 1
            _gains(codes, lengths, offsets, perm, start, end, lists[frame, : counts[frame]], seen, mark[0], gain, again)
            for k in range(counts[frame]):
                column = lists[frame, k]
                if again[k] == rows - 1:  # constant
                    hits += gain[k]
                    if record:
                        fields[start:end, depth] = column
                    depth += 1
                elif again[k] > 0:
                    below[live] = column
                    live += 1
                    if gain[k] > best_gain:
                        best, best_gain = column, gain[k]
        if best < 0:
            if record:
                depths[start:end] = depth
                leaves[start] = True
                _finish(fields, start, end, depth, used)
            continue
        hits += best_gain
        singles = _partition(codes, best, perm, start, end, place, touched, moved)
        counts[frame + 1], emit[frame + 1] = live, depth
        rest = 0
        for k in range(live):
            if below[k] != best:
                lists[frame + 2, rest] = below[k]
                rest += 1
        counts[frame + 2], emit[frame + 2] = rest, depth + 1
        if record:
            fields[start:singles, depth] = best
        if singles < end:
            starts[top], ends[top], frames[top] = singles, end, frame + 1
            top += 1
        bottom, at = top, start
        while at < singles:
            starts[top], ends[top], frames[top] = at, touched[at - start], frame + 2
            at = touched[at - start]
            top += 1
        starts[bottom:top] = starts[bottom:top][::-1].copy()
        ends[bottom:top] = ends[bottom:top][::-1].copy()
    return hits


def greedy(level: Level, tree: Tree | None = None) -> np.ndarray:
    """See `vectorised_greedy.greedy`."""
    cells = level.cells
    out = tree or Tree(0, cells.columns)
    return _greedy(
        cells.codes, cells.lengths, cells.offsets, level.perm, level.starts, level.ends, level.active, level.emitted,
        out.fields, out.depths, out.leaves,
    )  # fmt: skip


@njit(cache=True)
def _greedy(codes, lengths, offsets, perm, starts, ends, active, emitted, fields, depths, leaves):  # type: ignore[no-untyped-def]
    most = 1
    for column in range(codes.shape[1]):
        most = max(most, offsets[column + 1] - offsets[column])
    largest = 1
    for k in range(len(starts)):
        largest = max(largest, ends[k] - starts[k])
    size = largest // 2 + 2
    work = (
        np.zeros(len(lengths), np.int32),
        np.zeros(1, np.int32),
        np.zeros(most, np.int64),
        np.empty(largest, np.int64),
        np.empty(largest, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
    )
    hits = np.zeros(len(starts), np.int64)
    for k in range(len(starts)):
        columns = np.flatnonzero(active[k])
        hits[k] = _descend(
            codes, lengths, offsets, perm, fields, depths, leaves, starts[k], ends[k], columns, emitted[k], work
        )
    return hits
