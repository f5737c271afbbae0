"""The greedy solver in NumPy: all nodes of a level at once."""

from __future__ import annotations

import numpy as np

__all__ = ["greedy"]


def greedy(
    codes: np.ndarray,
    lengths: np.ndarray,
    offsets: np.ndarray,
    perm: np.ndarray,
    nodes: np.ndarray,
    active: np.ndarray,
    emitted: np.ndarray,
    fields: np.ndarray,
    depths: np.ndarray,
    leaves: np.ndarray,
    default: np.ndarray,
) -> np.ndarray:
    """Order rows and fields below each of the given nodes; the greedy column mode of GGR with linear lengths.

        NODE(rows, columns)
          emit every column that is constant on the rows     functional dependencies need no hand-given list
          split by the column whose repeated values are longest in sum: each value held twice or more is a NODE
          the rows whose value nobody shares are one more NODE, without a column emitted

    Args:
        codes: int32 [n, m]; equal values of a column have equal codes, 0 is null.
        lengths: int32 [values of all columns], one column after the other.
        offsets: int64 [m + 1], where each column begins in `lengths`.
        perm: int64 [n], rows in order; permuted in place, within the nodes.
        nodes: int64 [k + 1], node i is `perm[nodes[i] : nodes[i + 1]]`.
        active: bool [k, m], the columns that may still repeat in a node.
        emitted: int64 [k], fields that a node's rows share already: they stand in `fields` in front.
        fields: int16 [n, m] by position in `perm`, written; or [0, m]: nothing is recorded.
        depths: int16 [n], written: fields emitted above a row's leaf.
        leaves: bool [n], written: the positions at which a leaf begins.
        default: int64 [m], the order of the columns that a leaf has left.

    Returns:
        int64 [k]: sum of the lengths that rows share with the row before them, below each node.

    Source: Liu et al., "Optimizing LLM Queries in Relational Data Analytics Workloads" (MLSys 2025), section 4.2, whose
    GGR takes squared lengths, one value at a time and given dependencies.
    """
    spans = [(nodes[:-1], nodes[1:], np.arange(len(nodes) - 1), active, emitted)]
    hits = np.zeros(len(nodes) - 1, dtype=np.int64)
    while spans:
        starts, ends, owners, active, emitted = spans.pop()
        if len(starts):
            level = _Level(codes, lengths, offsets, perm, starts, ends)
            below, depth, best, won = level.choose(active, emitted, fields)
            np.add.at(hits, owners, won)
            if len(fields):
                level.finish(best < 0, depth, fields, depths, leaves, default)
            spans += level.split(best, below, depth, owners, fields)
    return hits


class _Level:
    """Nodes that lie side by side, each with its own columns."""

    def __init__(self, codes, lengths, offsets, perm, starts, ends) -> None:  # type: ignore[no-untyped-def]
        self.codes, self.perm, self.starts, self.sizes = codes, perm, starts, ends - starts
        self.lengths, self.offsets = lengths, offsets
        self.node = np.repeat(np.arange(len(starts)), self.sizes)
        self.positions = np.arange(len(self.node)) + np.repeat(starts - np.cumsum(self.sizes) + self.sizes, self.sizes)

    def _values(self, some: np.ndarray, column: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct values of the rows in `some` (into `positions`): their nodes, codes and counts."""
        wide = self.offsets[column + 1] - self.offsets[column]
        keys = self.node[some] * wide + self.codes[self.perm[self.positions[some]], column]
        keys, counts = np.unique(keys, return_counts=True)
        return keys // wide, keys % wide, counts

    def choose(self, active, emitted, fields):  # type: ignore[no-untyped-def]
        """Emit constants, then pick each node's column, -1 for a leaf."""
        k = len(self.starts)
        below, depth, won = np.zeros_like(active), emitted.copy(), np.zeros(k, dtype=np.int64)
        best, best_gain = np.full(k, -1, dtype=np.int64), np.zeros(k, dtype=np.int64)
        for column in np.flatnonzero(active.any(axis=0)):
            some = np.flatnonzero((active[:, column] & (self.sizes > 1))[self.node])
            node, code, counts = self._values(some, column)
            gain, again = np.zeros(k, dtype=np.int64), np.zeros(k, dtype=np.int64)
            np.add.at(gain, node, self.lengths[self.offsets[column] + code] * (counts - 1).astype(np.int64))
            np.add.at(again, node, counts - 1)
            constant = active[:, column] & (self.sizes > 1) & (again == self.sizes - 1)
            if len(fields):
                self._emit(constant, column, depth, fields)
            won += np.where(constant, gain, 0)
            depth = depth + constant
            below[:, column] = (again > 0) & ~constant
            better = below[:, column] & (gain > best_gain)
            best, best_gain = np.where(better, column, best), np.where(better, gain, best_gain)
        return below, depth, best, won + best_gain

    def _emit(self, some: np.ndarray, columns: np.ndarray | int, depth: np.ndarray, fields: np.ndarray) -> None:
        which = np.flatnonzero(some[self.node])
        node = self.node[which]
        fields[self.positions[which], depth[node]] = columns if isinstance(columns, np.integer) else columns[node]

    def finish(self, leaf, depth, fields, depths, leaves, default) -> None:  # type: ignore[no-untyped-def]
        """What a leaf has left follows in the default order."""
        which = np.flatnonzero(leaf[self.node])
        at, reached = self.positions[which], depth[self.node[which]]
        leaves[self.starts[leaf]] = True
        depths[at] = reached
        used = np.zeros((len(at), fields.shape[1]), dtype=bool)
        for k in range(fields.shape[1]):
            more = np.flatnonzero(k < reached)
            used[more, fields[at[more], k]] = True
        for column in default:
            more = np.flatnonzero(~used[:, column])
            fields[at[more], reached[more]] = column
            reached[more] += 1

    def split(self, best, below, depth, owners, fields):  # type: ignore[no-untyped-def]
        """Permute the rows of every node that is no leaf; the nodes of the next level, in two lists."""
        groups, rests = [], []
        for column in np.unique(best[best >= 0]):
            which = np.flatnonzero((best == column)[self.node])
            at, node = self.positions[which], self.node[which]
            code = self.codes[self.perm[at], column]
            value_node, value_code, counts = self._values(which, column)
            wide = self.offsets[column + 1] - self.offsets[column]
            single = counts[np.searchsorted(value_node * wide + value_code, node * wide + code)] == 1
            self.perm[at] = self.perm[at][np.lexsort((code, single, node))]
            some = np.lexsort((value_code, counts == 1, value_node))
            value_node, counts = value_node[some], counts[some]
            starts = at[np.cumsum(counts) - counts]
            many = counts > 1
            groups.append((starts[many], (starts + counts)[many], value_node[many]))
            first_single = np.flatnonzero(~many & np.r_[True, many[:-1] | (value_node[1:] != value_node[:-1])])
            rests.append((starts[first_single], (self.starts + self.sizes)[value_node[first_single]], value_node[first_single]))
        return [*self._next(groups, best, below, depth, owners, fields), *self._next(rests, None, below, depth, owners, fields)]

    def _next(self, parts, best, below, depth, owners, fields):  # type: ignore[no-untyped-def]
        if not parts:
            return []
        starts, ends, node = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(starts)
        starts, ends, node = starts[order], ends[order], node[order]
        active, reached = below[node], depth[node]
        if best is not None:
            active[np.arange(len(node)), best[node]] = False
            if len(fields):
                one = _Level(self.codes, self.lengths, self.offsets, self.perm, starts, ends)
                one._emit(np.ones(len(node), dtype=bool), best[node], reached, fields)
            reached = reached + 1
        return [(starts, ends, owners[node], active, reached)]
