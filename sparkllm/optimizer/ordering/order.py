"""The entry: a table -> the order of its rows and fields."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.encode import Lengths, encode_table
from sparkllm.optimizer.ordering.kernels import kernels_for
from sparkllm.optimizer.ordering.ordering import Ordering
from sparkllm.optimizer.ordering.solve import as_it_is, best, fast, fixed

__all__ = ["MODES", "order", "order_cells"]

MODES = ("fixed", "fast", "best")


def order(
    table: pa.Table | pa.RecordBatch,
    mode: str = "fixed",
    budget: float | None = None,
    lengths: Lengths | None = None,
    first: Sequence[str] = (),
) -> Ordering:
    """Order the rows and fields of a table so that consecutive prompts share the longest prefixes.

    | mode | fields | how |
    | --- | --- | --- |
    | fixed | one order for all rows | from joint counts; the same row always gives the same prompt |
    | fast | an order for each row | greedy: `vectorised_greedy.greedy`; a million rows a second |
    | best | an order for each row | the best of fast, fixed, input, sorted input, and searches that look ahead |

    Dependencies between columns are found, not given. Equal tables give equal results, and rows in another order the
    same hits, as long as no budget cuts a search off.

    Args:
        table: [n, m], 1 to 10 million rows, 1 to 200 columns of any type in `render`; nulls are left out of a prompt.
        mode: one of `MODES`.
        budget: seconds for mode best, from the call on; None: all searches to their end. Fast and fixed always run.
        lengths: the length of each distinct value of a column, see `encode_table`; without it, bytes.
        first: columns that stand in front in every row, in this order, such as those an instruction holds.

    Returns:
        The ordering. By exact evaluation its hits are never fewer than those of the input as it is (with `first` in
        front), and in mode best never fewer than those of any other mode.

    Raises:
        ValueError: an unknown mode, a budget that is negative or is given with another mode than best, lengths that
            do not fit, or a column in `first` that the table does not have, or has twice.
        CallError: a column's type has no text in a prompt.

    Source: Liu et al., "Optimizing LLM Queries in Relational Data Analytics Workloads" (MLSys 2025), sections 3 and 4.

    >>> table = pa.table({"id": ["1", "2", "3"], "text": ["good beer", "bad beer", "good beer"]})
    >>> ordering = order(table)
    >>> ordering.rows.tolist(), ordering.fields_of(0), ordering.hits, ordering.total
    ([1, 0, 2], ('text', 'id'), 9, 29)
    """
    started = time.monotonic()
    _check(mode, budget)
    given = _positions(first, table.schema.names)
    return order_cells(encode_table(table, lengths), table.schema.names, mode, budget, started, given)


def order_cells(
    cells: Cells,
    columns: Sequence[str],
    mode: str = "fixed",
    budget: float | None = None,
    started: float | None = None,
    given: tuple[int, ...] = (),
) -> Ordering:
    """The same of a table that is encoded already.

    Args:
        started: the `time.monotonic()` from which the budget counts; now when left out.
        given: the positions of the columns that stand in front.
    """
    _check(mode, budget)
    kernels = kernels_for(cells)
    found = as_it_is(cells, kernels, given)
    if cells.codes.size:
        if mode == "best":
            solved = best(cells, kernels, budget, time.monotonic() if started is None else started, given)
        else:
            solved = (fixed if mode == "fixed" else fast)(cells, kernels, given)
        found = solved if solved.hits >= found.hits else found
    rows = np.ascontiguousarray(found.rows, dtype=np.int64)
    return Ordering(rows, found.fields, tuple(columns), mode, found.method, found.hits, cells.total)


def _check(mode: str, budget: float | None) -> None:
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if budget is not None and (mode != "best" or not budget >= 0):
        raise ValueError(f"budget is a number of seconds >= 0 for mode 'best', not {budget!r} for mode {mode!r}")


def _positions(first: Sequence[str], names: list[str]) -> tuple[int, ...]:
    if isinstance(first, str) or any(names.count(name) != 1 for name in first) or len(set(first)) < len(first):
        raise ValueError(f"first takes different columns of the table, {', '.join(names)}, not {first!r}")
    return tuple(map(names.index, first))
