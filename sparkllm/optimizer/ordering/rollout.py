"""Look ahead before a split: follow each promising column to the end, then take the best."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from sparkllm.optimizer.ordering.kernels import Kernels
from sparkllm.optimizer.ordering.level import Level
from sparkllm.optimizer.ordering.vectorised_choice import choose
from sparkllm.optimizer.ordering.vectorised_greedy import Tree, constants, descend

__all__ = ["OutOfTime", "rollout"]

Value = Callable[[Level], np.ndarray]


class OutOfTime(Exception):  # noqa: N818 - it ends a search, it is no error
    """The budget is spent."""


def rollout(
    level: Level, kernels: Kernels, widths: tuple[int, ...], deadline: float, tree: Tree | None = None
) -> np.ndarray:
    """Order rows and fields below each node as `greedy` does, but choose a node's column by what comes of it.

    The greedy column and those that gain most, `widths[-1]` in all, are tried: the node is split by each and solved
    below with the remaining `widths[:-1]`, down to the greedy solver. As the greedy column is one of them, a node never
    comes out worse than with the narrower search (Bertsekas, Tsitsiklis and Wu, "Rollout algorithms for combinatorial
    optimization", 1997).

    Args:
        level: the nodes to begin with; its `perm` is permuted in place.
        widths: columns tried, innermost first; () is the greedy solver.
        deadline: `time.monotonic()` at which to give up.
        tree: where to write field orders and leaves.

    Returns:
        int64 [k]: sum of the lengths that rows share with the row before them, below each node.

    Raises:
        OutOfTime: the deadline has passed; `perm` and `tree` are then of no use.
    """
    if not widths:
        return kernels.greedy(level, tree)

    def solve(below: Level) -> np.ndarray:
        if time.monotonic() > deadline:
            raise OutOfTime
        return rollout(below, kernels, widths[:-1], deadline)

    hits = np.zeros(len(level.starts), dtype=np.int64)
    level = Level(level.cells, level.perm, level.starts, level.ends, np.arange(len(hits)), level.active, level.emitted)
    while len(level.starts):
        level, gain, again = constants(level, hits, tree)
        columns, won = _best_of(level, gain, _ranked(level, gain, again)[:, : widths[-1]], solve)
        np.add.at(hits, level.owners, won)
        level = descend(level, columns, tree)
        if tree is None:
            level = level.some(level.sizes > 1)
    return hits


def _ranked(level: Level, gain: np.ndarray, again: np.ndarray) -> np.ndarray:
    """The greedy column of each node, then those that gain most, int64 [k, m]: that they differ is worth a try."""
    first, greedy = gain.copy(), choose(level, gain, again)
    some = np.flatnonzero(greedy >= 0)
    first[some, greedy[some]] = first[some].max(axis=1) + 1
    return np.argsort(-first, axis=1, kind="stable")


def _best_of(level: Level, gain: np.ndarray, ranked: np.ndarray, solve: Value) -> tuple[np.ndarray, np.ndarray]:
    """Per node the column that is worth most with all that follows (-1: none), and what the split itself gains.

    `ranked`, int64 [k, width], are the columns that are tried.
    """
    nodes = np.arange(len(gain))
    best, most = np.full(len(gain), -1, dtype=np.int64), np.zeros(len(gain), dtype=np.int64)
    for tried in ranked.T:
        won = gain[nodes, tried]
        split = Level(level.cells, level.perm.copy(), level.starts, level.ends, nodes, level.active, level.emitted)
        children, _ = split.split(np.where(won > 0, tried, -1))
        worth = won.copy()
        np.add.at(worth, children.owners, solve(children))
        best, most = np.where(worth > most, tried, best), np.maximum(worth, most)
    return best, np.where(best >= 0, gain[nodes, best], 0)
