"""Arrow columns of any type -> the text that stands in the prompt, the one Spark gives a field.

| type | text |
| --- | --- |
| string | itself |
| integer, boolean, date | `7`, `true`, `2024-01-31` |
| float | `3.0`, `1.0E10`, `NaN`, `Infinity`: Java's |
| decimal | all digits of its scale: `1.50` |
| timestamp | `2024-01-31 12:00:00.5`, without trailing zeros; with a zone: the local time in it |
| binary | as UTF-8; bytes that are none become U+FFFD |
| list, struct, map | JSON without blanks; null fields of a struct are left out |
| dictionary, run-end encoded | its values |
"""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkllm.errors import CallError
from sparkllm.optimizer.ordering.java_double import java_double
from sparkllm.optimizer.ordering.nested import is_nested, json_text

__all__ = ["render_column"]

_AS_ARROW_WRITES = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_date, pa.types.is_null)


def render_column(name: str, column: pa.Array) -> pa.Array:
    """The column as large_string [n], null where it is null.

    Raises:
        CallError: the type has no text in a prompt (durations, times, intervals).

    >>> render_column("price", pa.array([3.0, None, 1e10])).to_pylist()
    ['3.0', None, '1.0E10']
    >>> render_column("tags", pa.array([["a", None], []])).to_pylist()
    ['["a",null]', '[]']
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or _any(_AS_ARROW_WRITES, kind):
        return column.cast(pa.large_string())
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        plain = column.dictionary_decode() if pa.types.is_dictionary(kind) else pc.run_end_decode(column)
        return render_column(name, plain)
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    if is_nested(kind):
        return pa.array([None if v is None else json_text(v, kind) for v in column.to_pylist()], pa.large_string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or _binary(kind):
        distinct = column.dictionary_encode()
        narrow = pa.types.is_float32(kind) or pa.types.is_float16(kind)
        texts = [None if value is None else _text(value, narrow) for value in distinct.dictionary.to_pylist()]
        return pa.array(texts, pa.large_string()).take(distinct.indices)
    raise CallError(
        f"column {name!r} has type {kind}, which has no text in a prompt; cast it to a string, a number or a timestamp"
    )


def _any(tests: tuple[Any, ...], kind: pa.DataType) -> bool:
    return any(test(kind) for test in tests)


def _binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _timestamps(column: pa.Array) -> pa.Array:
    local = pc.local_timestamp(column) if column.type.tz else column
    texts = local.cast(pa.timestamp("us"), safe=False).cast(pa.large_string())
    return pc.replace_substring_regex(texts, r"\.?0*$", "") if len(texts) else texts


def _text(value: Any, narrow: bool) -> str:
    if isinstance(value, float):
        return java_double(value, str(np.float32(value)) if narrow else repr(value))
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return value.decode("utf-8", errors="replace")
