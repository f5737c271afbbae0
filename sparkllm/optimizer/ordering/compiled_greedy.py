"""The greedy solver, compiled: depth first over an explicit stack, rows permuted in place.

`vectorised_greedy` does the same level by level in NumPy, with exactly the same result; it says what is computed.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparkllm.optimizer.ordering.compiled_choice import choose
from sparkllm.optimizer.ordering.compiled_partition import partition
from sparkllm.optimizer.ordering.level import Level
from sparkllm.optimizer.ordering.vectorised_greedy import Tree

__all__ = ["greedy"]


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
def _descend(table, perm, tree, first, last, frames, stack, counting, parting, used):  # type: ignore[no-untyped-def]
    """One node with everything below it; returns its hits.

    A frame is what the children of one split have in common: the columns that may still repeat (`lists`, `counts`) and
    the number of fields emitted. Rests and values have one each, above that of their parent: the stack is last in,
    first out, so a frame is written again only when nothing on the stack needs it.
    """
    fields, depths, leaves = tree
    lists, counts, emitted = frames
    starts, ends, levels = stack
    place, keys, bounds, moved = parting
    starts[0], ends[0], levels[0] = first, last, 0
    top, hits = 1, 0
    while top > 0:
        top -= 1
        start, end, frame = starts[top], ends[top], levels[top]
        below, live, best, gain, depth, same = lists[frame + 1], 0, -1, 0, emitted[frame], 0
        if end - start > 1:
            columns = lists[frame, : counts[frame]]
            live, best, gain, depth, same = choose(table, perm, fields, start, end, depth, columns, below, counting)
        hits += same + gain
        if best < 0:
            if len(fields):
                depths[start:end] = depth
                leaves[start] = True
                _finish(fields, start, end, depth, used)
            continue
        groups = partition(table[0], best, perm, start, end, place, keys, bounds, moved)
        singles = bounds[groups - 1]
        counts[frame + 1], emitted[frame + 1] = live, depth
        counts[frame + 2], emitted[frame + 2] = live - 1, depth + 1
        rest = 0
        for k in range(live):
            if below[k] != best:
                lists[frame + 2, rest] = below[k]
                rest += 1
        if len(fields):
            fields[start:singles, depth] = best
        if singles < end:
            starts[top], ends[top], levels[top] = singles, end, frame + 1
            top += 1
        for k in range(groups - 1, -1, -1):
            starts[top], ends[top], levels[top] = bounds[k - 1] if k else start, bounds[k], frame + 2
            top += 1
    return hits


def greedy(level: Level, tree: Tree | None = None) -> np.ndarray:
    """See `vectorised_greedy.greedy`."""
    cells = level.cells
    out = tree or Tree(0, cells.columns)
    follows = np.zeros((0, 0), np.int64) if cells.follows is None else cells.follows
    return _greedy(
        cells.codes, cells.lengths, cells.offsets, follows, level.perm, level.starts, level.ends, level.active,
        level.emitted, out.fields, out.depths, out.leaves,
    )  # fmt: skip


@njit(cache=True)
def _greedy(codes, lengths, offsets, follows, perm, starts, ends, active, emitted, fields, depths, leaves):  # type: ignore[no-untyped-def]
    most = 1
    for column in range(codes.shape[1]):
        most = max(most, offsets[column + 1] - offsets[column])
    largest = 1
    for k in range(len(starts)):
        largest = max(largest, ends[k] - starts[k])
    m, pending = codes.shape[1], largest // 2 + 2
    frames = (np.empty((2 * m + 6, m), np.int64), np.empty(2 * m + 6, np.int64), np.empty(2 * m + 6, np.int64))
    stack = (np.empty(pending, np.int64), np.empty(pending, np.int64), np.empty(pending, np.int64))
    counting = (np.zeros(len(lengths), np.int32), np.zeros(1, np.int32), np.empty(m, np.int64), np.empty(m, np.int64))
    each = (np.empty(largest, np.int64), np.empty(largest, np.int64), np.empty(largest, np.int64))
    parting, used = (np.zeros(most, np.int64), *each), np.empty(m, np.bool_)
    hits = np.zeros(len(starts), np.int64)
    for k in range(len(starts)):
        columns = np.flatnonzero(active[k])
        frames[0][0, : len(columns)] = columns
        frames[1][0], frames[2][0] = len(columns), emitted[k]
        table, tree = (codes, lengths, offsets, follows), (fields, depths, leaves)
        hits[k] = _descend(table, perm, tree, starts[k], ends[k], frames, stack, counting, parting, used)
    return hits
