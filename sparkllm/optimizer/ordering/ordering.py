"""The result: an order of the rows and of the fields that can be undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

__all__ = ["Ordering"]

_Values = TypeVar("_Values", np.ndarray, pa.Array, pa.ChunkedArray, pa.RecordBatch, pa.Table)


@dataclass(frozen=True, eq=False)
class Ordering:
    """In which order the rows of a table are sent, and the fields of each.

    Attributes:
        rows: int64 [n], a permutation: the i-th row that is sent is row `rows[i]` of the table.
        fields: int16 [m], the field order of every row (mode fixed, or where one order won); or int16 [n, m], where
            `fields[i]` belongs to the i-th row that is sent, which is `rows[i]` of the table.
        columns: the names of the columns that `fields` speaks of, [m].
        mode: the mode that was asked for.
        method: the solver whose result this is.
        hits: length of the whole cells that rows share with the row sent before them, in the unit of the lengths.
        total: length of all cells.

    >>> ordering = Ordering(np.array([2, 0, 1]), np.array([1, 0], dtype=np.int16), ("a", "b"), "fixed", "fixed", 3, 12)
    >>> ordering.hit_rate, ordering.fields_of(0)
    (0.25, ('b', 'a'))
    >>> ordering.restore(np.array(["row 2", "row 0", "row 1"])).tolist()
    ['row 0', 'row 1', 'row 2']
    """

    rows: np.ndarray
    fields: np.ndarray
    columns: tuple[str, ...]
    mode: str
    method: str
    hits: int
    total: int

    @property
    def hit_rate(self) -> float:
        """Share of the data's length that a prefix cache serves, whole cells only, 0..1; no static text in it."""
        return self.hits / self.total if self.total else 0.0

    def fields_of(self, place: int) -> tuple[str, ...]:
        """The names of the fields of the row sent at `place` (0..n-1), in their order."""
        order = self.fields if self.fields.ndim == 1 else self.fields[place]
        return tuple(self.columns[column] for column in order)

    def apply(self, values: _Values) -> _Values:
        """One value for each row of the table, [n, ...] -> the same in the order in which the rows are sent."""
        return values[self.rows] if isinstance(values, np.ndarray) else values.take(pa.array(self.rows))

    def restore(self, values: _Values) -> _Values:
        """One value for each row sent, [n, ...], such as the answers -> the same in the order of the table.

        Raises:
            ValueError: there are not as many values as rows.
        """
        if len(values) != len(self.rows):
            raise ValueError(f"restore takes one value for each of the {len(self.rows):,} rows, not {len(values):,}")
        place = np.empty_like(self.rows)
        place[self.rows] = np.arange(len(self.rows))
        return values[place] if isinstance(values, np.ndarray) else values.take(pa.array(place))
