"""A function over batches of Arrow arrays as a Spark UDF, on every Spark that sparkllm knows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import StructType

__all__ = ["iterator_udf"]

Function = Callable[[Iterator[tuple[pa.Array, ...]]], Iterator[pa.Array]]


def iterator_udf(function: Function, returned: StructType) -> Any:
    """`function` as a UDF of Spark's Arrow iterator; Spark 4.0 has none yet, and gets one of its pandas iterator.

    Args:
        function: batches of argument columns (strings, or structs of strings) -> batches of struct arrays, as many rows
            together; they need not be cut alike.
        returned: Spark's type of the struct.
    """
    if hasattr(F, "arrow_udf"):
        return F.arrow_udf(function, returned)  # type: ignore[call-overload] # PySpark's types allow no struct, Spark does
    kind = to_arrow_type(returned)

    def over_pandas(batches: Iterator[Any]) -> Iterator[Any]:
        for answers in function(tuple(map(_to_arrow, columns)) for columns in batches):
            yield _to_pandas(answers.cast(kind))

    with warnings.catch_warnings():  # Spark prefers type hints, which know no struct
        warnings.simplefilter("ignore", UserWarning)
        return F.pandas_udf(over_pandas, returned, F.PandasUDFType.SCALAR_ITER)  # type: ignore[call-overload]


def _to_arrow(column: Any) -> pa.Array:
    """A Series of strings, or a DataFrame of them for a struct."""
    if column.ndim == 1:
        return pa.array(column, type=pa.string(), from_pandas=True)
    fields = [_to_arrow(column.iloc[:, i]) for i in range(column.shape[1])]
    return pa.StructArray.from_arrays(fields, names=[str(name) for name in column.columns])


def _to_pandas(answers: pa.StructArray) -> Any:
    """Integers stay what they are: with a NULL among them, plain pandas would make them floats."""
    import pandas as pd

    table = pa.Table.from_arrays(answers.flatten(), names=[field.name for field in answers.type])
    return table.to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get)
