"""Types of answers as other platforms write them -> columns as in CREATE TABLE, for `schema => '...'`."""

from __future__ import annotations

from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import ParseError

from sparkllm.errors import TranspileError

__all__ = ["columns", "json_schema_columns", "named", "struct_columns", "typed_columns", "unwrapped"]

_JSON = {"string": "STRING", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_ONE = "answer"


def columns(written: str, dialect: str) -> str:
    """Another platform's columns in Spark's words.

    >>> columns("name STRING, tags ARRAY<STRING>, age INT64", "bigquery")
    'name STRING, tags ARRAY<STRING>, age BIGINT'

    Raises:
        TranspileError: they are no columns.
    """
    try:
        table = parse_one(f"CREATE TABLE t ({written})", read=dialect)
    except ParseError as error:
        raise TranspileError(f"cannot read the schema {written!r}") from error
    defined = list(table.find_all(exp.ColumnDef))
    outer = [c for c in defined if isinstance(c.parent, exp.Schema)]
    if not outer or any(c.kind is None for c in outer):
        raise TranspileError(f"cannot read the schema {written!r}")
    return ", ".join(c.sql("spark", normalize_functions=False) for c in outer)


def named(pairs: list[tuple[str, str]]) -> str:
    """STRING columns with what each holds: (name, description).

    >>> named([("name", "Who wrote it?"), ("the town", "")])
    "name STRING COMMENT 'Who wrote it?', `the town` STRING"
    """
    return ", ".join(_column(name, "STRING", said) for name, said in pairs)


def json_schema_columns(schema: Any) -> str:
    """The columns of a JSON schema of an object.

    >>> json_schema_columns({"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}})
    'tags ARRAY<STRING>'

    Raises:
        TranspileError: it is no object's, or holds what an answer cannot have.
    """
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict) or not schema["properties"]:
        raise TranspileError("takes a JSON schema of an object with properties")
    return ", ".join(
        _column(name, _type(kind), str(kind.get("description", ""))) for name, kind in schema["properties"].items()
    )


def typed_columns(kind: str) -> tuple[str, bool]:
    """(the columns that hold an answer of a type, whether it is their only one, called `answer`).

    >>> typed_columns("DOUBLE"), typed_columns("STRUCT<name: STRING, age: INT>")
    (('answer DOUBLE', True), ('name STRING, age INT', False))

    Raises:
        TranspileError: it is no type.
    """
    try:
        parsed = exp.DataType.build(kind, dialect="databricks")
    except (ParseError, ValueError) as error:
        raise TranspileError(f"cannot read the type {kind!r}") from error
    if parsed.this == exp.DataType.Type.STRUCT:
        return struct_columns(parsed), False
    return f"{_ONE} {parsed.sql('spark')}", True


def struct_columns(kind: exp.DataType) -> str:
    """The fields of a STRUCT as columns.

    >>> struct_columns(exp.DataType.build("STRUCT<name: STRING, tags: ARRAY<STRING>>", dialect="spark"))
    'name STRING, tags ARRAY<STRING>'
    """
    return ", ".join(c.sql("spark").replace(": ", " ", 1) for c in kind.expressions)


def unwrapped(answer: exp.Expr) -> exp.Expr:
    """The only column of an answer."""
    return exp.Dot(this=answer, expression=exp.to_identifier(_ONE))


def _type(kind: dict[str, Any]) -> str:
    name = kind.get("type")
    if name == "array":
        return f"ARRAY<{_type(kind.get('items', {'type': 'string'}))}>"
    if name == "object":
        inner = ", ".join(f"{_quoted(key)}: {_type(value)}" for key, value in kind.get("properties", {}).items())
        if inner:
            return f"STRUCT<{inner}>"
    if name not in _JSON:
        raise TranspileError(f"an answer has no type {name!r}")
    return _JSON[name]


def _column(name: str, kind: str, said: str) -> str:
    comment = " COMMENT '" + said.replace("\\", "\\\\").replace("'", "\\'") + "'" if said else ""
    return f"{_quoted(name)} {kind}{comment}"


def _quoted(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else f"`{name.replace('`', '``')}`"
