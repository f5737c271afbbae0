"""The order of rows and fields in a call's prompts: one field order for the query, or one for each row.

With one order the same row gives the same prompt wherever it stands, and prompts of later windows find what earlier
ones left in the cache. An order for each row shares more within a window, on some tables: `optimizer.ordering`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from sparkllm.calls import AS_IT_COMES, ONE_ORDER, PER_ROW
from sparkllm.optimizer.order_fields import gains_per_row, order_fields
from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering import warm_up
from sparkllm.optimizer.ordering.order import order_cells
from sparkllm.udf.prompt import Template
from sparkllm.udf.task import Task
from sparkllm.udf.token_pieces import TokenPieces

__all__ = ["PromptOrder", "may_be_per_row", "prepare"]

_BUDGET = 0.5  # seconds of search for a window, while the engine is at work on the one before


def may_be_per_row(task: Task) -> bool:
    """Whether rows of this task may get a field order each: asked for, and there is something to order.

    Calls whose data stands first share it with another call of the query, so its order is that call's too.
    """
    config, call = task.config, task.call
    rules = config.optimizer_order_fields and config.optimizer_order_rows
    asked = _asked(task) not in (*ONE_ORDER, *AS_IT_COMES)
    return rules and asked and not call.data_first and len(_free(task)) > 1


def prepare(task: Task) -> None:
    """Load what the ordering needs in the background; before an engine starts is a good time."""
    if may_be_per_row(task):
        warm_up()


def _asked(task: Task) -> str:
    return task.call.order or task.config.order


def _free(task: Task) -> list[int]:
    first = Template.of(task.call).first_fields
    return [i for i in range(len(task.call.fields)) if i not in first]


class PromptOrder:
    """What all tasks of a query have agreed on.

    Attributes:
        fields: the one field order of the query: columns of the call.
        per_row: each row has its own field order instead.
    """

    def __init__(self, task: Task, agree: Callable[[str, str], str], sample: Callable[[], TokenPieces]) -> None:
        """Choose, or take what another task has chosen.

        Args:
            task: the call and its settings.
            agree: (key, proposal) -> the first proposal that was made for `key`, by any task of this host.
            sample: distinct rows from which the choice is made; called where there is one to make.
        """
        self._task, self._agree = task, agree
        self._sample = functools.cache(lambda: sample().cells)
        self._first = Template.of(task.call).first_fields
        self.fields = self._one_order()
        self.per_row = self._wants_each()

    def _one_order(self) -> tuple[int, ...]:
        """The plan's, or else that of the first task of the query: equal rows give equal prompts."""
        if self._task.field_order:
            return self._task.field_order
        free = _free(self._task)  # in the order of the query
        if not self._task.config.optimizer_order_fields or len(free) < 2 or _asked(self._task) in AS_IT_COMES:
            return (*self._first, *free)
        proposal = order_fields(self._sample(), self._first)
        return tuple(map(int, self._agreed("field-order", ",".join(map(str, proposal))).split(",")))

    def _wants_each(self) -> bool:
        if not may_be_per_row(self._task):
            return False
        if _asked(self._task) == PER_ROW:
            return True
        gains = gains_per_row(self._sample(), self.fields, self._first)
        return self._agreed("per-row", str(gains)) == str(True)

    def _agreed(self, what: str, proposal: str) -> str:
        return self._agree(f"{what}/{self._task.query}/{self._task.call}", proposal)

    def of(self, window: TokenPieces) -> tuple[np.ndarray, np.ndarray]:
        """The order in which a window's rows are sent.

        Returns:
            rows: int64 [n], a permutation.
            fields: int16 [m], or [n, m] where row i belongs to rows[i].
        """
        if self.per_row:
            found = order_cells(window.cells, self._task.call.fields, "best", _BUDGET, given=self._first)
            return found.rows, found.fields
        codes = window.table.codes
        sorts = self._task.config.optimizer_order_rows and _asked(self._task) != "off"
        rows = order_rows(codes, self.fields) if sorts else np.arange(len(codes))
        return rows, np.array(self.fields, dtype=np.int16)

    @property
    def written(self) -> str:
        """For the report: the columns as they stand in a prompt, "2,0,1", or "rows+fields"."""
        return PER_ROW if self.per_row else ",".join(map(str, dict.fromkeys((*self._first, *self.fields))))
