"""What the solvers compute on: dictionary codes and the length of every distinct value, in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from sparkllm.optimizer.encode import Encoded

__all__ = ["FOLLOWS_UNIT", "Cells"]

FOLLOWS_UNIT = 1024  # `follows` is in whole numbers, so that every kernel adds up the same


@dataclass(frozen=True)
class Cells:
    """A table as codes.

    Attributes:
        codes: int32 [n, m]; equal values of a column have equal codes, 0 is null, and codes sort like their values.
        lengths: int32, the length of each distinct value in any unit; one column after the other, 0 for null.
        offsets: int64 [m + 1], where each column begins in `lengths`.
        values: per column the text of each code, or None where only the codes are known.
        follows: int64 [m, m], length of column d that a repeated value of column c shares too, in 1 / FOLLOWS_UNIT;
            see `dependence`. None: not counted.
    """

    codes: np.ndarray
    lengths: np.ndarray
    offsets: np.ndarray
    values: tuple[pa.Array, ...] | None = None
    follows: np.ndarray | None = None

    @classmethod
    def of(cls, codes: np.ndarray, lengths: Sequence[np.ndarray], values: Sequence[pa.Array] | None = None) -> Cells:
        """From one array of lengths for each column.

        >>> Cells.of(np.array([[1, 1], [2, 1]]), [[0, 4, 4], [0, 7]]).total
        22
        """
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        offsets[1:] = np.cumsum([len(of_column) for of_column in lengths])
        flat = np.concatenate(
            [np.asarray(of_column, dtype=np.int32) for of_column in lengths] or [np.zeros(0, np.int32)]
        )
        return cls(np.ascontiguousarray(codes, np.int32), flat, offsets, None if values is None else tuple(values))

    @classmethod
    def of_encoded(cls, table: Encoded) -> Cells:
        """From the planner's codes."""
        values = [pa.array(of_column, pa.large_string()) for of_column in table.values]
        return cls.of(table.codes, table.lengths, values)

    @property
    def rows(self) -> int:
        """n"""
        return self.codes.shape[0]

    @property
    def columns(self) -> int:
        """m"""
        return self.codes.shape[1]

    def length(self, column: int) -> np.ndarray:
        """int32 [distinct values]: the lengths of one column by code."""
        return self.lengths[self.offsets[column] : self.offsets[column + 1]]

    @property
    def total(self) -> int:
        """Sum of the lengths of all cells."""
        return sum(int(self.length(c)[self.codes[:, c]].sum(dtype=np.int64)) for c in range(self.columns))

    def row_lengths(self) -> np.ndarray:
        """int64 [n]: the length of each row."""
        lengths = np.zeros(self.rows, dtype=np.int64)
        for column in range(self.columns):
            lengths += self.length(column)[self.codes[:, column]]
        return lengths

    def take(self, rows: np.ndarray) -> Cells:
        """The same dictionaries over the chosen rows."""
        return replace(self, codes=np.ascontiguousarray(self.codes[rows]))
