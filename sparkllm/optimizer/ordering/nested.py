"""Lists, structs and maps as JSON."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from typing import Any

import pyarrow as pa

from sparkllm.optimizer.ordering.java_double import java_double

__all__ = ["is_nested", "json_text"]

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def is_nested(kind: pa.DataType) -> bool:
    """Whether values of this type hold other values."""
    return pa.types.is_struct(kind) or pa.types.is_map(kind) or any(test(kind) for test in _LISTS)


def json_text(value: Any, kind: pa.DataType) -> str:
    """As Spark's to_json: structs without their null fields, maps and lists with null values."""
    if value is None:
        return "null"
    if pa.types.is_struct(kind):
        pairs = [(f.name, json_text(value[f.name], f.type)) for f in kind if value[f.name] is not None]
        return "{" + ",".join(f"{_quoted(name)}:{text}" for name, text in pairs) + "}"
    if pa.types.is_map(kind):
        pairs = [(_key(key, kind.key_type), json_text(inner, kind.item_type)) for key, inner in value]
        return "{" + ",".join(f"{name}:{text}" for name, text in pairs) + "}"
    if is_nested(kind):
        return "[" + ",".join(json_text(inner, kind.value_type) for inner in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        text = java_double(value, repr(value))
        return text if math.isfinite(value) else _quoted(text)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return _quoted(value.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    if isinstance(value, bytes):
        return _quoted(base64.b64encode(value).decode())
    return json.dumps(value) if isinstance(value, bool | int) else _quoted(str(value))


def _key(value: Any, kind: pa.DataType) -> str:
    text = json_text(value, kind)
    return text if text.startswith('"') else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
