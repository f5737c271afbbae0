"""Sorting and splitting the rows of one node, compiled."""

from __future__ import annotations

from numba import njit

__all__ = ["ascending", "partition"]


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
def partition(codes, column, perm, start, end, place, keys, bounds, moved):  # type: ignore[no-untyped-def]
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
