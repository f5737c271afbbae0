"""The column by which the greedy solver splits a node, compiled; `vectorised_choice` does the same and describes it."""

from __future__ import annotations

from numba import njit

from sparkllm.optimizer.ordering.cells import FOLLOWS_UNIT

__all__ = ["choose"]


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
def _best(columns, gain, again, follows):  # type: ignore[no-untyped-def]
    """The place in `columns` of the one to split by, -1 for none."""
    best, most = -1, 0
    for i in range(len(columns)):
        score = gain[i] * FOLLOWS_UNIT
        if gain[i] > 0 and len(follows):
            for other in columns:
                score += again[i] * follows[columns[i], other]
        if score > most:
            best, most = i, score
    if best < 0 or not len(follows):
        return best
    coarsest = best
    for i in range(len(columns)):
        if gain[i] > 0 and again[i] > again[coarsest] and follows[columns[best], columns[i]] > 0:
            coarsest = i
    return coarsest


@njit(cache=True)
def choose(table, perm, fields, start, end, depth, columns, below, work):  # type: ignore[no-untyped-def]
    """Emit the columns that are constant on a node; those that repeat are left in `below`.

    Returns how many are left, the one that gains most (-1: none), its gain, fields emitted so far, hits of constants.
    """
    codes, lengths, offsets, follows = table
    seen, mark, gain, again = work
    mark[0] += 1
    _gains(codes, lengths, offsets, perm, start, end, columns, seen, mark[0], gain, again)
    live, hits = 0, 0
    for k in range(len(columns)):
        if again[k] == end - start - 1:  # constant
            hits += gain[k]
            if len(fields):
                fields[start:end, depth] = columns[k]
            depth += 1
        elif again[k] > 0:
            below[live], gain[live], again[live] = columns[k], gain[k], again[k]
            live += 1
    best = _best(below[:live], gain, again, follows)
    if best < 0:
        return live, -1, 0, depth, hits
    return live, below[best], gain[best], depth, hits
