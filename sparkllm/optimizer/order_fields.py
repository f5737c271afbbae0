"""Rule: the one field order of a query that shares the most prefix bytes between its rows."""

from __future__ import annotations

from sparkllm.optimizer.encode import Encoded
from sparkllm.optimizer.ordering.beam import best_field_order
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.counts import ExactCounts
from sparkllm.optimizer.ordering.kernels import kernels_for

__all__ = ["order_fields"]


def order_fields(table: Encoded, fixed: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Choose the field order by joint counts of column sets: `ordering.beam.best_field_order`.

    Args:
        table: distinct rows (what is sent), [rows, columns].
        fixed: columns whose place in front is given, such as those a template puts into the instruction.

    Returns:
        Every column once: `fixed`, then the rest; columns that add nothing keep the order of the query.

    Limits: one order for all rows (a row's prompt never depends on its neighbours); shared beginnings of different
    values are not counted.

    >>> from sparkllm.optimizer.encode import encode
    >>> import pyarrow as pa
    >>> order_fields(encode([pa.array(["1", "2", "3"]), pa.array(["xxx", "xxx", "yyy"])], 3))
    (1, 0)
    """
    cells = Cells.of(table.codes, table.lengths)
    return best_field_order(ExactCounts(cells, kernels_for(cells)), cells.columns, fixed)
