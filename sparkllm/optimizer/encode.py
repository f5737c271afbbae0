"""Columns of strings -> dictionary codes: what every rule of the planner computes on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["NULL", "Encoded", "encode"]

NULL = 0  # the code of a missing value, in every column


@dataclass(frozen=True)
class Encoded:
    """A table of strings as codes.

    Attributes:
        codes: [rows, columns] int32; code 0 is null, equal values have equal codes, and codes sort like their values.
        values: per column, value of each code (index 0 is the empty string, standing for null).
        lengths: per column, length of each value in UTF-8 bytes (0 for null).
    """

    codes: np.ndarray
    values: tuple[list[str], ...]
    lengths: tuple[np.ndarray, ...]

    def take(self, rows: np.ndarray) -> Encoded:
        """The same dictionaries over the chosen rows."""
        return Encoded(self.codes[rows], self.values, self.lengths)


def encode(columns: list[pa.Array], rows: int) -> Encoded:
    """Dictionary-encode string columns of `rows` values each.

    >>> encode([pa.array(["b", "a", None, "b"])], 4).codes.tolist()
    [[2], [1], [0], [2]]
    """
    codes = np.zeros((rows, len(columns)), dtype=np.int32)
    values, lengths = [], []
    for i, column in enumerate(columns):
        codes[:, i], column_values = _encode_column(column)
        values.append(_texts(column_values))
        lengths.append(pc.binary_length(column_values).to_numpy(zero_copy_only=False))
    return Encoded(codes, tuple(values), tuple(lengths))


def _texts(values: pa.Array) -> list[str]:
    """Spark puts any bytes into a string (`CAST(X'FF' AS STRING)`); those that are no UTF-8 are read as U+FFFD."""
    try:
        return list(values.to_pylist())
    except UnicodeDecodeError:
        return [raw.decode(errors="replace") for raw in values.cast(pa.binary()).to_pylist()]


def _encode_column(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    encoded = column.cast(pa.string()).dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order) + 1, dtype=np.int32)
    rank[order] = np.arange(1, len(order) + 1, dtype=np.int32)
    rank[-1] = NULL
    indices = encoded.indices.fill_null(len(order)).to_numpy(zero_copy_only=False)
    return rank[indices], pa.concat_arrays([pa.array([""]), encoded.dictionary.take(pa.array(order))])
