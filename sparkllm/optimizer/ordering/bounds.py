"""What no order of rows and fields can exceed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.encode import Lengths, encode_table
from sparkllm.optimizer.ordering.kernels import compiled, kernels_for

__all__ = ["Bounds", "upper_bounds"]

_PAIRS_ROWS = 40_000  # rows up to which all pairs are looked at: 3 s on one core
_PAIRS_ROWS_NUMPY = 4_000


@dataclass(frozen=True)
class Bounds:
    """Upper bounds of the length that rows share, whole cells, in the unit of the lengths; each holds for every mode.

    Attributes:
        distinct_cells: every distinct value of a column is computed at least once.
        spanning_tree: two neighbours share at most the cells they agree on, and the neighbours are a path through all
            rows: no heavier than the heaviest spanning tree. None where the table is too large to compare all pairs.
        total: length of all cells.

    >>> bounds = upper_bounds(pa.table({"a": ["xx", "xx", "yy"], "b": ["u", "v", "v"]}))
    >>> bounds.distinct_cells, bounds.spanning_tree, bounds.total
    (3, 3, 9)
    """

    distinct_cells: int
    spanning_tree: int | None
    total: int

    @property
    def hits(self) -> int:
        """The tightest."""
        return self.distinct_cells if self.spanning_tree is None else min(self.distinct_cells, self.spanning_tree)

    @property
    def hit_rate(self) -> float:
        """The tightest, as a share of all cells, 0..1: "69.8 of at most 73.3"."""
        return self.hits / self.total if self.total else 0.0


def upper_bounds(
    table: pa.Table | pa.RecordBatch | Cells, lengths: Lengths | None = None, pairs: bool = True
) -> Bounds:
    """Bounds of what any order of the table's rows and fields can share.

    Args:
        table: [n, m].
        lengths: as for `order`.
        pairs: compare all pairs of rows too, for a tighter bound; seconds.
    """
    cells = table if isinstance(table, Cells) else encode_table(table, lengths)
    return Bounds(_distinct_cells(cells), _spanning_tree(cells) if pairs else None, cells.total)


def _distinct_cells(cells: Cells) -> int:
    computed = 0
    for column in range(cells.columns):
        present = np.bincount(cells.codes[:, column], minlength=len(cells.length(column))) > 0
        computed += int(cells.length(column)[present].sum(dtype=np.int64))
    return cells.total - computed


def _spanning_tree(cells: Cells) -> int | None:
    small = cells.rows <= (_PAIRS_ROWS if compiled() else _PAIRS_ROWS_NUMPY)
    return kernels_for(cells).heaviest_tree(cells) if small else None
