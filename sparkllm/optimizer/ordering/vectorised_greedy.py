"""The greedy solver in NumPy: all nodes of a level at once."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.ordering.level import Level
from sparkllm.optimizer.ordering.vectorised_choice import choose

__all__ = ["Tree", "constants", "greedy"]


class Tree:
    """What a solver writes down, by position in the permutation; with no rows, nothing is written.

    Attributes:
        fields: int16 [n, m], the field order of each row.
        depths: int16 [n], fields emitted above a row's leaf.
        leaves: bool [n], the positions at which a leaf begins.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.fields = np.zeros((rows, columns), dtype=np.int16)
        self.depths = np.zeros(rows, dtype=np.int16)
        self.leaves = np.zeros(rows, dtype=bool)

    def finish(self, level: Level, leaf: np.ndarray) -> None:
        """The chosen nodes (bool [k]) are leaves: their other columns follow in the order of the table."""
        at, node = level.rows_of(leaf)
        reached = level.emitted[node]
        self.leaves[level.starts[leaf]] = True
        self.depths[at] = reached
        used = np.zeros((len(at), self.fields.shape[1]), dtype=bool)
        for k in range(self.fields.shape[1]):
            more = np.flatnonzero(k < reached)
            used[more, self.fields[at[more], k]] = True
        for column in range(self.fields.shape[1]):
            more = np.flatnonzero(~used[:, column])
            self.fields[at[more], reached[more]] = column
            reached[more] += 1


def greedy(level: Level, tree: Tree | None = None) -> np.ndarray:
    """Order rows and fields below each node of a level; the column mode of GGR with linear lengths.

        NODE(rows, columns)
          emit every column that is constant on the rows     functional dependencies need no hand-given list
          split by the column that `vectorised_choice.choose` names: each value held twice or more is a NODE
          the rows whose value nobody shares are one more NODE, without a column emitted

    Columns that do not repeat in a node are not looked at below it. Ties go to the first column of the table, so that
    the tree depends on the set of the rows alone.

    Args:
        level: the nodes to begin with; its `perm` is permuted in place.
        tree: where to write field orders and leaves.

    Returns:
        int64 [k]: sum of the lengths that rows share with the row before them, below each node.

    Source: Liu et al., "Optimizing LLM Queries in Relational Data Analytics Workloads" (MLSys 2025), section 4.2, whose
    GGR takes squared lengths, one value at a time, and hand-given dependencies.
    """
    hits = np.zeros(len(level.starts), dtype=np.int64)
    level = Level(level.cells, level.perm, level.starts, level.ends, np.arange(len(hits)), level.active, level.emitted)
    while len(level.starts):
        level, gain, again = constants(level, hits, tree)
        best = choose(level, gain, again)
        np.add.at(hits, level.owners, np.where(best >= 0, gain[np.arange(len(gain)), best], 0))
        level = descend(level, best, tree)
    return hits


def constants(level: Level, hits: np.ndarray, tree: Tree | None) -> tuple[Level, np.ndarray, np.ndarray]:
    """Emit the columns that are constant on a node, and count them.

    Returns the level, and of each column that is active still what a split by it would gain, and the rows that repeat.
    """
    gain, again = level.gains()
    constant = level.active & (again == level.sizes[:, None] - 1) & (level.sizes[:, None] > 1)
    np.add.at(hits, level.owners, np.where(constant, gain, 0).sum(axis=1))
    for column in np.flatnonzero(constant.any(axis=0)):
        if tree is not None:
            level = level.emit(np.where(constant[:, column], column, -1), tree.fields)
    active = (again > 0) & ~constant
    emitted = level.emitted
    level = Level(level.cells, level.perm, level.starts, level.ends, level.owners, active, emitted)
    return level, np.where(active, gain, 0), np.where(active, again, 0)


def descend(level: Level, columns: np.ndarray, tree: Tree | None) -> Level:
    """The children of a level that is split by `columns` (int64 [k], -1 for a leaf)."""
    children, many = level.split(columns)
    if tree is not None:
        tree.finish(level, columns < 0)
        by = columns[np.searchsorted(level.starts, children.starts, side="right") - 1]
        children = children.emit(np.where(many, by, -1), tree.fields)
    return children
