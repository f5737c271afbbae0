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

import base64
import datetime
import decimal
import json
import math
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkllm.errors import CallError

__all__ = ["render_column"]

_AS_ARROW_WRITES = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_date, pa.types.is_null)
_NESTED = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_struct, pa.types.is_map)


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
    if _any(_NESTED, kind):
        return pa.array([None if v is None else _json(v, kind) for v in column.to_pylist()], pa.large_string())
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
        return _java_double(value, str(np.float32(value)) if narrow else repr(value))
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return value.decode("utf-8", errors="replace")


def _java_double(value: float, digits: str) -> str:
    """`Double.toString`: the shortest digits that mean the value, plain from 1e-3 to 1e7, else with an exponent."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return format(decimal.Decimal(digits), "f")
    sign, figures, exponent = decimal.Decimal(digits).as_tuple()
    power = int(exponent) + len(figures) - 1
    text = "".join(map(str, figures))
    rest = re.sub(r"0+$", "", text[1:]) or "0"
    return f"{'-' if sign else ''}{text[0]}.{rest}E{power}"


def _json(value: Any, kind: pa.DataType) -> str:
    """As Spark's to_json: structs without their null fields, maps and lists with null values."""
    if value is None:
        return "null"
    if pa.types.is_struct(kind):
        pairs = [(f.name, _json(value[f.name], f.type)) for f in kind if value[f.name] is not None]
        return "{" + ",".join(f"{_quoted(name)}:{text}" for name, text in pairs) + "}"
    if pa.types.is_map(kind):
        pairs = [(_key(key, kind.key_type), _json(inner, kind.item_type)) for key, inner in value]
        return "{" + ",".join(f"{name}:{text}" for name, text in pairs) + "}"
    if _any(_NESTED, kind):
        return "[" + ",".join(_json(inner, kind.value_type) for inner in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        text = _java_double(value, repr(value))
        return text if math.isfinite(value) else _quoted(text)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return _quoted(value.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    if isinstance(value, bytes):
        return _quoted(base64.b64encode(value).decode())
    return json.dumps(value) if isinstance(value, bool | int) else _quoted(str(value))


def _key(value: Any, kind: pa.DataType) -> str:
    text = _json(value, kind)
    return text if text.startswith('"') else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
