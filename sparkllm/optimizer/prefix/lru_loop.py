"""The loop of `lru_blocks`: linked lists in arrays, so that it compiles.

A block is a slot 0..capacity-1 while it has contents that can be found again. `ring` links the slots that are free in
the order in which they are evicted, `twins` those that hold the same node; slot `capacity` and node `nodes` are the
lists' ends. Free blocks without contents are alike: they are only counted.
"""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.prefix.compiled import compiled

__all__ = ["simulate"]

_NOTHING = -1


@compiled
def _append(ring, end, slot):  # type: ignore[no-untyped-def] # compiled: types are those of its arguments
    """Put `slot` at the back of the ring that `end` closes; ring is [next, previous] of each slot."""
    last = ring[1, end]
    ring[0, last], ring[1, slot] = slot, last
    ring[0, slot], ring[1, end] = end, slot


@compiled
def _remove(ring, slot):  # type: ignore[no-untyped-def]
    after, before = ring[0, slot], ring[1, slot]
    ring[0, before], ring[1, after] = after, before


@compiled
def _hold(slot, node, node_of, twins):  # type: ignore[no-untyped-def]
    """The slot has the contents of `node` from now on; the one that had them first is found first."""
    node_of[slot] = node
    if node != _NOTHING:
        _append(twins, len(node_of) + node, slot)


@compiled
def _evict(ring, capacity, node_of, twins):  # type: ignore[no-untyped-def]
    """Take the slot that was freed least recently."""
    slot = ring[0, capacity]
    _remove(ring, slot)
    if node_of[slot] != _NOTHING:
        _remove(twins, slot)
    return slot


@compiled
def _finish(held, users, ring, capacity):  # type: ignore[no-untyped-def]
    """Free a request's slots, the tail first; returns how many became free."""
    freed = 0
    for i in range(len(held) - 1, -1, -1):
        slot = held[i]
        users[slot] -= 1
        if users[slot] == 0:
            _append(ring, capacity, slot)
            freed += 1
    return freed


@compiled
def _find(path, most, twins, capacity, held, users):  # type: ignore[no-untyped-def]
    """Slots of the first blocks of `path`, into `held`: (how many, how many of them are free)."""
    found = idle = 0
    while found < most:
        slot = twins[0, capacity + path[found]]
        if slot >= capacity:
            break
        held[found] = slot
        idle += users[slot] == 0
        found += 1
    return found, idle


@compiled
def simulate(nodes, starts, findable, whole, needed, capacity, concurrency):  # type: ignore[no-untyped-def]
    """Blocks found for each prompt, int64 [n].

    Args:
        nodes, starts: the prompts' whole blocks, as `block_nodes` numbers them.
        findable: blocks of each prompt that may be found, int64 [n].
        whole: whole blocks of each prompt with its answer, int64 [n].
        needed: blocks that it takes while it runs, int64 [n].
        capacity, concurrency: as in `lru_blocks`.
    """
    n = len(needed)
    known = 0 if len(nodes) == 0 else nodes.max() + 1
    ring = np.empty((2, capacity + 1), dtype=np.int64)
    ring[:, capacity] = capacity
    twins = np.empty((2, capacity + known), dtype=np.int64)  # of the slots, then one end for each node
    twins[:] = np.arange(capacity + known)
    node_of = np.full(capacity, _NOTHING, dtype=np.int64)
    users = np.zeros(capacity, dtype=np.int64)
    spare, spares = np.arange(capacity), capacity  # slots without contents
    ends = np.cumsum(whole)
    held = np.empty(0 if n == 0 else ends[-1], dtype=np.int64)
    hits = np.zeros(n, dtype=np.int64)
    blank, idle, oldest = capacity, 0, 0  # free blocks without and with contents; the oldest request that runs
    for i in range(n):
        mine, path = held[ends[i] - whole[i] : ends[i]], nodes[starts[i] : starts[i + 1]]
        found, taken = _find(path, findable[i], twins, capacity, mine, users)
        while i - oldest >= concurrency or needed[i] - found > blank + idle - taken:
            idle += _finish(held[ends[oldest] - whole[oldest] : ends[oldest]], users, ring, capacity)
            blank += needed[oldest] - whole[oldest]
            oldest += 1
            found, taken = _find(path, findable[i], twins, capacity, mine, users)
        hits[i] = found
        for slot in mine[:found]:
            if users[slot] == 0:
                _remove(ring, slot)
                idle -= 1
            users[slot] += 1
        for _ in range(needed[i] - found):
            if blank > 0:
                blank -= 1
            else:
                spare[spares] = _evict(ring, capacity, node_of, twins)
                spares += 1
                idle -= 1
        for j in range(found, whole[i]):
            spares -= 1
            slot = spare[spares]
            users[slot] = 1
            mine[j] = slot
            _hold(slot, path[j] if j < len(path) else _NOTHING, node_of, twins)
    return hits
