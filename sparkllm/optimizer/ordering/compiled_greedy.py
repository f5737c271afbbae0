"""The greedy solver, compiled: depth first over an explicit stack, rows permuted in place.

`vectorised_greedy` does the same level by level in NumPy, with exactly the same result; it says what is computed.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparkllm.optimizer.ordering.level import Level
from sparkllm.optimizer.ordering.vectorised_greedy import Tree

__all__ = ["ascending", "greedy"]


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
def ascending(keys):  # type: ignore[no-untyped-def]
    """Sort in place; most nodes are small, and a call of the general sort takes longer than they do."""
    if len(keys) > 40:
        keys.sort()
        return
    for i in range(1, len(keys)):
        key, k = keys[i], i
        while k > 0 and keys[k - 1] > key:
            keys[k] = keys[k - 1]
            k -= 1
        keys[k] = key


@njit(cache=True)
def _partition(codes, column, perm, start, end, place, keys, bounds, moved):  # type: ignore[no-untyped-def]
    """Stable counting partition: values held twice or more, ascending, then those held once.

    Returns how many values are held twice or more; `bounds` is where each of them ends.
    """
    distinct = groups = 0
    for position in range(start, end):
        code = codes[perm[position], column]
        if place[code] == 0:
            keys[distinct] = code
            distinct += 1
        place[code] += 1
    ascending(keys[:distinct])
    at = 0
    for k in range(distinct):
        if place[keys[k]] >= 2:
            at += place[keys[k]]
            place[keys[k]] = place[keys[k]] - at - 1  # minus the begin, less one
            bounds[groups] = start + at
            groups += 1
    for k in range(distinct):
        if place[keys[k]] == 1:
            place[keys[k]] = -at - 1
            at += 1
    for position in range(start, end):
        row = perm[position]
        code = codes[row, column]
        moved[-place[code] - 1] = row
        place[code] -= 1
    perm[start:end] = moved[: end - start]
    for k in range(distinct):
        place[keys[k]] = 0
    return groups


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
def _choose(table, perm, fields, start, end, depth, columns, below, work):  # type: ignore[no-untyped-def]
    """Emit the columns that are constant on a node; those that repeat are left in `below`.

    Returns how many are left, the one that gains most (-1: none), its gain, fields emitted so far, hits of constants.
    """
    codes, lengths, offsets = table
    seen, mark, gain, again = work
    mark[0] += 1
    _gains(codes, lengths, offsets, perm, start, end, columns, seen, mark[0], gain, again)
    live, best, best_gain, hits = 0, -1, 0, 0
    for k in range(len(columns)):
        if again[k] == end - start - 1:  # constant
            hits += gain[k]
            if len(fields):
                fields[start:end, depth] = columns[k]
            depth += 1
        elif again[k] > 0:
            below[live] = columns[k]
            live += 1
            if gain[k] > best_gain:
                best, best_gain = columns[k], gain[k]
    return live, best, best_gain, depth, hits


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
            live, best, gain, depth, same = _choose(table, perm, fields, start, end, depth, columns, below, counting)
        hits += same + gain
        if best < 0:
            if len(fields):
                depths[start:end] = depth
                leaves[start] = True
                _finish(fields, start, end, depth, used)
            continue
        groups = _partition(table[0], best, perm, start, end, place, keys, bounds, moved)
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
        table, tree = (codes, lengths, offsets), (fields, depths, leaves)
        hits[k] = _descend(table, perm, tree, starts[k], ends[k], frames, stack, counting, parting, used)
    return hits
