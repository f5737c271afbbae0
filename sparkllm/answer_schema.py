"""Spark's JSON of a STRUCT -> JSON schema for the engine, words for the model, DDL for people.

The Catalyst extension has checked the types (AnswerSchema.scala lists them).
"""

from __future__ import annotations

import json
import re
from math import isqrt
from typing import Any

__all__ = ["ddl", "example", "json_schema", "words"]

Kind = str | dict[str, Any]

_BITS = {"byte": 8, "short": 16, "integer": 32, "long": 64}
_SQL = {"byte": "TINYINT", "short": "SMALLINT", "integer": "INT", "long": "BIGINT"}
_WORDS = {"string": "string", "boolean": "true or false", "date": 'date as "YYYY-MM-DD"'} | dict.fromkeys(
    _BITS, "integer"
)
_PLAIN = re.compile(r"(?!\d+$)[A-Za-z0-9_]+")  # names that need no backticks
_FLOAT_DIGITS = 38  # 3.4e38 is the largest FLOAT

_WIDTHS = {"boolean": 5, "date": 12} | {name: len(str(-(2 ** (bits - 1)))) for name, bits in _BITS.items()}
_NUMBER_WIDTH = 30  # -123456789012345.123456789e+99
# Whatever maxTokens is: less would cut what a model that is not astray has to say.
_LEAST_TEXT, _LEAST_ITEMS = 64, 8


def ddl(schema: str, separator: str = " ") -> str:
    """The columns as in CREATE TABLE.

    >>> ddl('{"type": "struct", "fields": [{"name": "age", "type": "integer", "nullable": false, "metadata": {}}]}')
    'age INT NOT NULL'
    """
    return ", ".join(_column(f, separator) for f in _fields(schema))


def words(schema: str) -> str:
    """The columns as the model is told them; a comment is a description.

    >>> name = '{"name": "name", "type": "string", "nullable": true, "metadata": {"comment": "the full name"}}'
    >>> words(f'{{"type": "struct", "fields": [{name}]}}')
    '{"name": string or null (the full name)}'
    """
    return _in_words(json.loads(schema))


def json_schema(schema: str, max_tokens: int) -> str:
    """A JSON schema whose strings and lists are bounded, so that every answer ends within `max_tokens`.

    A token may be one character, as when a small model goes astray. The characters that names, punctuation and numbers
    leave are shared equally by the strings and lists. Only escapes, lists in lists, and more strings and lists than
    there is room for may still pass the limit.
    """
    kind = json.loads(schema)
    room = max_tokens - _width(kind)
    return json.dumps(_bounded(kind, room // max(1, _open(kind))), ensure_ascii=False)


def example(schema: str) -> str | None:
    """A typed answer as it may come; None where it holds texts or lists, whose length only the model knows.

    >>> example('{"type": "struct", "fields": [{"name": "age", "type": "integer", "nullable": true, "metadata": {}}]}')
    '{"age": 1234}'
    """
    kind = json.loads(schema)
    return None if _open(kind) else json.dumps(_example(kind), ensure_ascii=False)


def _example(kind: Kind) -> Any:
    if isinstance(kind, dict):
        return {f["name"]: _example(f["type"]) for f in kind["fields"]}
    return {"boolean": False, "date": "2024-01-31"}.get(kind, 12.5 if kind not in _BITS else 1234)


def _fields(schema: str) -> list[dict[str, Any]]:
    return list(json.loads(schema)["fields"])


def _column(field: dict[str, Any], separator: str) -> str:
    required = "" if field["nullable"] else " NOT NULL"
    comment = field["metadata"].get("comment")
    quoted = " COMMENT '" + comment.replace("\\", "\\\\").replace("'", "\\'") + "'" if comment else ""
    name = field["name"] if _PLAIN.fullmatch(field["name"]) else f"`{field['name'].replace('`', '``')}`"
    return f"{name}{separator}{_sql(field['type'])}{required}{quoted}"


def _sql(kind: Kind) -> str:
    if isinstance(kind, str):
        return _SQL.get(kind, kind.upper())
    if kind["type"] == "array":
        return f"ARRAY<{_sql(kind['elementType'])}>"
    return f"STRUCT<{', '.join(_column(f, ': ') for f in kind['fields'])}>"


def _in_words(kind: Kind) -> str:
    if isinstance(kind, str):
        return _WORDS.get(kind, "number")
    if kind["type"] == "array":
        return f"[{_in_words(kind['elementType'])}, ...]"
    return "{" + ", ".join(f"{_key(f)}: {_value(f)}" for f in kind["fields"]) + "}"


def _key(field: dict[str, Any]) -> str:
    return json.dumps(field["name"], ensure_ascii=False)


def _value(field: dict[str, Any]) -> str:
    null = " or null" if field["nullable"] else ""
    comment = field["metadata"].get("comment")
    return _in_words(field["type"]) + null + (f" ({comment})" if comment else "")


def _width(kind: Kind) -> int:
    """Most characters of a value, with its strings and lists empty."""
    if isinstance(kind, dict) and kind["type"] == "struct":
        return 2 + sum(len(_key(f)) + 4 + max(4, _width(f["type"])) for f in kind["fields"])
    if isinstance(kind, dict) or kind == "string":
        return 2
    return _WIDTHS.get(kind, _NUMBER_WIDTH)


def _open(kind: Kind) -> int:
    """Strings and lists in a value, those inside a list not counted."""
    if isinstance(kind, dict) and kind["type"] == "struct":
        return sum(_open(f["type"]) for f in kind["fields"])
    return int(isinstance(kind, dict) or kind == "string")


def _bounded(kind: Kind, share: int) -> dict[str, Any]:
    """The JSON schema of a value whose strings and lists take about `share` characters each."""
    if isinstance(kind, str):
        return _scalar(kind, share)
    if kind["type"] == "array":
        return _list(kind["elementType"], share)
    properties = {f["name"]: _nullable(_bounded(f["type"], share), f["nullable"]) for f in kind["fields"]}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _scalar(kind: str, share: int) -> dict[str, Any]:
    if kind == "string":
        return {"type": "string", "maxLength": max(_LEAST_TEXT, share)}
    if kind == "date":
        return {"type": "string", "format": "date"}
    if kind in _BITS:
        most = 2 ** (_BITS[kind] - 1)
        return {"type": "integer", "minimum": -most, "maximum": most - 1}
    if kind in ("boolean", "double"):
        return {"type": "boolean" if kind == "boolean" else "number"}
    most = 10 ** (_FLOAT_DIGITS if kind == "float" else _decimal_digits(kind))
    return {"type": "number", "exclusiveMinimum": -most, "exclusiveMaximum": most}


def _decimal_digits(kind: str) -> int:
    """`decimal(10,2)` -> 8 digits before the point."""
    precision, scale = kind.removeprefix("decimal(").removesuffix(")").split(",")
    return int(precision) - int(scale)


def _list(element: Kind, share: int) -> dict[str, Any]:
    """Items of equal length: where they hold text, at most as many as the root of the share."""
    width, inner = _width(element) + 2, _open(element)
    items = share // (width + _LEAST_TEXT * inner)
    items = max(_LEAST_ITEMS, min(items, isqrt(max(0, share))) if inner else items)
    each = (share // items - width) // max(1, inner)
    return {"type": "array", "items": _bounded(element, each), "maxItems": items}


def _nullable(schema: dict[str, Any], nullable: bool) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]} if nullable else schema
