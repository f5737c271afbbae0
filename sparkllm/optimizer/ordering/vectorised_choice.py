"""The column by which the greedy solver splits a node."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.ordering.cells import FOLLOWS_UNIT
from sparkllm.optimizer.ordering.level import Level

__all__ = ["choose"]


def choose(level: Level, gain: np.ndarray, again: np.ndarray) -> np.ndarray:
    """The column that each node is split by: int64 [k], -1 for none.

    A column scores what it repeats, and what the columns that follow from it are expected to repeat with it: the six
    short columns of a customer come before the long text of a product. Of the best column and those that follow from
    it, the one that repeats most comes first, as nothing is lost by it: rows of one city are rows of one country.
    Columns that repeat nothing are not chosen; ties go to the first column of the table.

    Args:
        level: the nodes, k of them.
        gain: int64 [k, m], length that each column repeats in a node.
        again: int64 [k, m], rows that repeat an earlier value of the node.
    """
    score = _scores(level, gain, again)
    if not score.shape[1]:
        return np.full(len(score), -1, dtype=np.int64)
    best = np.where(score.max(axis=1) > 0, score.argmax(axis=1), -1)
    if level.cells.follows is None:
        return best
    nodes = np.arange(len(best))
    coarser = (level.cells.follows[best] > 0) & (gain > 0) & (again > again[nodes, best][:, None])
    return np.where((best >= 0) & coarser.any(axis=1), np.where(coarser, again, 0).argmax(axis=1), best)


def _scores(level: Level, gain: np.ndarray, again: np.ndarray) -> np.ndarray:
    """int64 [k, m], in 1 / FOLLOWS_UNIT of the unit of the lengths; 0 for columns that repeat nothing."""
    if level.cells.follows is None:
        return gain * FOLLOWS_UNIT
    shared = again * (level.active.astype(np.int64) @ level.cells.follows.T)
    return np.where(gain > 0, gain * FOLLOWS_UNIT + shared, 0)
