"""Rule: the field order of a query that shares the most prefix tokens between its rows."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering.beam import best_field_order
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.counts import ExactCounts
from sparkllm.optimizer.ordering.kernels import kernels_for
from sparkllm.optimizer.ordering.order import order_cells
from sparkllm.optimizer.ordering.solve import shared_cells

__all__ = ["WORTH_IT", "gains_per_row", "order_fields"]

WORTH_IT = 0.03  # share of the data's tokens: below, the same row had better give the same prompt everywhere
_BUDGET = 2.0  # seconds of search for what an order for each row would share


def order_fields(cells: Cells, given: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Choose the field order by joint counts of column sets: `ordering.beam.best_field_order`.

    Args:
        cells: distinct rows (what is sent), [rows, columns].
        given: columns whose place in front is given, such as those a template puts into the instruction.

    Returns:
        Every column once: `given`, then the rest; columns that add nothing keep the order of the query.

    Limits: one order for all rows (a row's prompt never depends on its neighbours); shared beginnings of different
    values are not counted.

    >>> from sparkllm.optimizer.encode import encode
    >>> import pyarrow as pa
    >>> order_fields(Cells.of_encoded(encode([pa.array(["1", "2", "3"]), pa.array(["xxx", "xxx", "yyy"])], 3)))
    (1, 0)
    """
    return best_field_order(ExactCounts(cells, kernels_for(cells)), cells.columns, given)


def gains_per_row(cells: Cells, order: tuple[int, ...], given: tuple[int, ...] = ()) -> bool:
    """Whether a field order for each row shares `WORTH_IT` more of the data than `order` does for all.

    Args:
        cells, given: as in `order_fields`.
        order: the one order of the query.
    """
    if not cells.total:
        return False
    one = shared_cells(cells, order_rows(cells.codes, order), np.array(order, dtype=np.int16))
    names = tuple(map(str, range(cells.columns)))
    each = order_cells(cells, names, "best", _BUDGET, given=given).hits
    return (each - one) / cells.total >= WORTH_IT
