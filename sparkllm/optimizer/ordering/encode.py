"""Arrow table -> cells: every column rendered and dictionary-encoded, several columns at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.render import render_column

__all__ = ["Lengths", "encode_table"]

Lengths = Callable[[str, pa.Array], Sequence[int] | np.ndarray]


def encode_table(table: pa.Table | pa.RecordBatch, lengths: Lengths | None = None) -> Cells:
    """Dictionary codes of a table, and the length of every distinct value.

    Args:
        table: [n, m], columns of any type that `render` knows.
        lengths: `lengths(name, values)` gives the length of each distinct value of the column `name` (a large_string
            array), such as the tokens of `"name": value`; without it, bytes of UTF-8.

    >>> encode_table(pa.table({"a": ["b", None, "aa"]})).codes.tolist()
    [[2], [0], [1]]
    """
    codes = np.empty((table.num_rows, table.num_columns), dtype=np.int32)

    def encode_one(column: int) -> pa.Array:
        codes[:, column], values = _encode(table.schema.names[column], table.column(column))
        return values

    with ThreadPoolExecutor(min(len(table.schema.names), os.cpu_count() or 1) or 1) as pool:
        values = list(pool.map(encode_one, range(table.num_columns)))
    return Cells.of(
        codes, [_lengths(name, v, lengths) for name, v in zip(table.schema.names, values, strict=True)], values
    )


def _encode(name: str, column: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """int32 [n] codes, and the values: the empty text for null, then the distinct ones, ascending."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    rendered = pa.chunked_array([render_column(name, chunk) for chunk in chunks], pa.large_string())
    encoded = rendered.dictionary_encode().unify_dictionaries()
    dictionary = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.large_string())
    order = pc.array_sort_indices(dictionary)
    rank = np.empty(len(dictionary) + 1, dtype=np.int32)
    rank[order.to_numpy()] = np.arange(1, len(order) + 1, dtype=np.int32)
    rank[-1] = 0
    indices = [chunk.indices.fill_null(len(dictionary)).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    codes = [rank[of_chunk] for of_chunk in indices]
    null = pa.array([""], pa.large_string())
    return np.concatenate(codes or [rank[:0]]), pa.concat_arrays([null, dictionary.take(order)])


def _lengths(name: str, values: pa.Array, lengths: Lengths | None) -> np.ndarray:
    if lengths is None:
        return pc.binary_length(values).to_numpy(zero_copy_only=False)
    given = np.asarray(lengths(name, values[1:]), dtype=np.int64)
    if given.shape != (len(values) - 1,) or (given < 0).any():
        raise ValueError(
            f"lengths must give one number >= 0 for each of the {len(values) - 1:,} values of {name!r}, "
            f"not an array of shape {given.shape}"
        )
    return np.concatenate([np.zeros(1, dtype=np.int64), given])
