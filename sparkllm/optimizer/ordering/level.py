"""One level of the tree of shared prefixes: nodes that lie side by side in the permutation, handled all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["Level"]


@dataclass(frozen=True)
class Level:
    """Nodes of one level, k of them.

    Attributes:
        cells: the table.
        perm: int64 [n], rows in order; node i is `perm[starts[i] : ends[i]]`.
        starts, ends: int64 [k], ascending, disjoint.
        owners: int64 [k], to which of the nodes that the caller began with each belongs.
        active: bool [k, m], the columns that may still repeat in a node.
        emitted: int64 [k], fields that a node's rows share already.
    """

    cells: Cells
    perm: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    owners: np.ndarray
    active: np.ndarray
    emitted: np.ndarray

    @classmethod
    def root(cls, cells: Cells, perm: np.ndarray) -> Level:
        """All rows in one node."""
        one, active = np.zeros(1, dtype=np.int64), np.ones((1, cells.columns), dtype=bool)
        return cls(cells, perm, one, one + len(perm), one, active, one)

    @classmethod
    def below(cls, cells: Cells, perm: np.ndarray, given: tuple[int, ...]) -> Level:
        """One node for each combination of values in the columns `given`, by which `perm` is sorted already."""
        if not given or not len(perm):
            return cls.root(cells, perm)
        values = cells.codes[perm][:, given]
        starts = np.flatnonzero(np.append(True, (values[1:] != values[:-1]).any(axis=1)))
        nodes = np.arange(len(starts))
        active = np.ones((len(nodes), cells.columns), dtype=bool)
        active[:, given] = False
        emitted = np.full(len(nodes), len(given), dtype=np.int64)
        return cls(cells, perm, starts, np.append(starts[1:], len(perm)), nodes, active, emitted)

    @property
    def sizes(self) -> np.ndarray:
        """int64 [k]: rows of each node."""
        return self.ends - self.starts

    def rows_of(self, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in `perm` of the rows of the chosen nodes (bool [k]), and the node of each."""
        which = np.flatnonzero(some)
        sizes = self.sizes[which]
        begins = self.starts[which] - np.cumsum(sizes) + sizes
        return np.arange(sizes.sum()) + np.repeat(begins, sizes), np.repeat(which, sizes)

    def some(self, which: np.ndarray) -> Level:
        """The chosen nodes only."""
        parts = (self.starts, self.ends, self.owners, self.active, self.emitted)
        return Level(self.cells, self.perm, *(part[which] for part in parts))

    def gains(self) -> tuple[np.ndarray, np.ndarray]:
        """Per node and column, int64 [k, m]: lengths that a split by it would share, and rows that repeat a value."""
        gain, again = (np.zeros(self.active.shape, dtype=np.int64) for _ in range(2))
        for column in np.flatnonzero(self.active.any(axis=0)):
            at, node = self.rows_of(self.active[:, column] & (self.sizes > 1))
            keys, counts = np.unique(self._keys(column, at, node), return_counts=True)
            node, code = np.divmod(keys, self._wide(column))
            np.add.at(gain[:, column], node, self.cells.length(column)[code] * (counts - 1))
            np.add.at(again[:, column], node, counts - 1)
        return gain, again

    def emit(self, columns: np.ndarray, fields: np.ndarray) -> Level:
        """Write `columns[i]` (int64 [k], -1 for none) behind the fields that node i shares."""
        at, node = self.rows_of(columns >= 0)
        fields[at, self.emitted[node]] = columns[node]
        active = self.active.copy()
        active[np.flatnonzero(columns >= 0), columns[columns >= 0]] = False
        emitted = self.emitted + (columns >= 0)
        return Level(self.cells, self.perm, self.starts, self.ends, self.owners, active, emitted)

    def split(self, columns: np.ndarray) -> tuple[Level, np.ndarray]:
        """Permute node i by `columns[i]` (-1: it has no children): values held twice or more, ascending, then the rest.

        Returns the children, and for each of them whether it is such a value (else it is a node's rest).
        """
        parts = [self._split_by(column, columns == column) for column in np.unique(columns[columns >= 0])]
        nothing = np.zeros(0, dtype=np.int64)
        starts, ends, node, many = (np.concatenate(p) for p in zip((nothing,) * 4, *parts, strict=True))
        order = np.argsort(starts)
        starts, ends, node, many = starts[order], ends[order], node[order], many[order].astype(bool)
        active = self.active[node]
        active[np.flatnonzero(many), columns[node[many]]] = False
        return Level(self.cells, self.perm, starts, ends, self.owners[node], active, self.emitted[node]), many

    def _split_by(self, column: int, some: np.ndarray) -> tuple[np.ndarray, ...]:
        at, node = self.rows_of(some)
        keys, inverse, counts = np.unique(self._keys(column, at, node), return_inverse=True, return_counts=True)
        single = counts == 1
        node_of, code = np.divmod(keys, self._wide(column))
        order = np.lexsort((code, single, node_of))
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self.perm[at] = self.perm[at][np.argsort(rank[inverse], kind="stable")]
        single, node_of, counts = single[order], node_of[order], counts[order]
        starts = at[np.cumsum(counts) - counts]
        first = np.append(True, ~single[:-1] | (node_of[1:] != node_of[:-1])) & single
        keep = np.flatnonzero(~single | first)
        ends = np.where(single, self.ends[node_of], starts + counts)
        return starts[keep], ends[keep], node_of[keep], ~single[keep]

    def _wide(self, column: int) -> int:
        return int(self.cells.offsets[column + 1] - self.cells.offsets[column])

    def _keys(self, column: int, at: np.ndarray, node: np.ndarray) -> np.ndarray:
        return node * self._wide(column) + self.cells.codes[self.perm[at], column]
