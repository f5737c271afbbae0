"""Columns as in CREATE TABLE -> Spark's JSON of a STRUCT, where no JVM is at hand to read them.

Only the types that an answer may have; Spark itself reads the same texts to the same JSON, letter for letter.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sparkllm.errors import CallError

__all__ = ["answer_schema", "parse_ddl"]

Kind = str | dict[str, Any]

_NAMES = {
    "STRING": "string", "BOOLEAN": "boolean", "TINYINT": "byte", "BYTE": "byte", "SMALLINT": "short", "SHORT": "short",
    "INT": "integer", "INTEGER": "integer", "BIGINT": "long", "LONG": "long", "FLOAT": "float", "REAL": "float",
    "DOUBLE": "double", "DATE": "date",
}  # fmt: skip
_DECIMALS = ("DECIMAL", "DEC", "NUMERIC")
_KNOWN = "STRING, BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL, DATE, ARRAY<...> and STRUCT<...>"
_STRUCT = re.compile(r"\s*STRUCT\s*<", re.IGNORECASE)
_WORD = re.compile(r"""\s*(?:`((?:[^`]|``)+)`|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\w+)|([<>(),:]))""", re.DOTALL)


def parse_ddl(text: str) -> str:
    """Spark's JSON of these columns.

    >>> parse_ddl("age INT COMMENT 'in years'")
    '{"type":"struct","fields":[{"name":"age","type":"integer","nullable":true,"metadata":{"comment":"in years"}}]}'

    Raises:
        CallError: no columns, or a type that no answer can have.
    """
    words = _Words(text)
    kind = words.struct() if _STRUCT.match(text) else {"type": "struct", "fields": words.columns()}
    words.end()
    return _json(kind)


def answer_schema(output: str) -> tuple[str, bool]:
    """(Spark's JSON of the columns that hold an output, whether it is their only one, called `answer`).

    >>> answer_schema("a STRING, b INT")[1], answer_schema("DOUBLE NOT NULL")
    (False, ('{"type":"struct","fields":[{"name":"answer","type":"double","nullable":false,"metadata":{}}]}', True))

    Raises:
        CallError: neither columns nor a type that an answer can have.
    """
    one = _Words(f"answer {output}")
    try:
        fields = one.columns()
        one.end()
    except CallError:
        fields = []  # `answer a STRING, b INT`
    alone = len(fields) == 1 and not _STRUCT.match(output)
    return (_json({"type": "struct", "fields": fields}), True) if alone else (parse_ddl(output), False)


def _json(kind: Kind) -> str:
    return json.dumps(kind, separators=(",", ":"), ensure_ascii=False)


class _Words:
    """The words of a text, and what they make."""

    def __init__(self, text: str) -> None:
        self.text, self._at, self._after = text, 0, 0

    def _wrong(self, expected: str) -> CallError:
        found = self.text[self._at :].strip() or "its end"
        return CallError(
            f"a schema is columns as in CREATE TABLE, got {self.text!r}: expected {expected}, found {found!r}; "
            "write 'name STRING, age INT'"
        )

    def _next(self) -> tuple[str, str]:
        """(kind, text) of the next word: name, text, word, mark or nothing; it is not taken yet."""
        match = _WORD.match(self.text, self._at)
        if match is None:
            return "", ""
        self._after = match.end()
        if match[1] is not None:
            return "name", match[1].replace("``", "`")
        if match[2] is not None or match[3] is not None:
            return "text", re.sub(r"\\(.)", r"\1", match[2] or match[3] or "")
        return ("word", match[4]) if match[4] is not None else ("mark", match[5])

    def _take(self, *wanted: str) -> bool:
        kind, text = self._next()
        if kind in ("word", "mark") and text.upper() in wanted:
            self._at = self._after
            return True
        return False

    def _must(self, wanted: str) -> None:
        if not self._take(wanted):
            raise self._wrong(wanted)

    def end(self) -> None:
        if self.text[self._at :].strip():
            raise self._wrong("a comma")

    def columns(self) -> list[dict[str, Any]]:
        found = [self._column()]
        while self._take(","):
            found.append(self._column())
        lower = [column["name"].lower() for column in found]
        for name in lower:
            if lower.count(name) > 1:
                raise CallError(f"column {name!r} is twice in the schema {self.text!r}; give each its own name")
        return found

    def _column(self) -> dict[str, Any]:
        kind, name = self._next()
        if kind not in ("name", "word"):
            raise self._wrong("a column's name")
        self._at = self._after
        self._take(":")
        column: dict[str, Any] = {"name": name, "type": self._type(), "nullable": True, "metadata": {}}
        if self._take("NOT"):
            self._must("NULL")
            column["nullable"] = False
        if self._take("COMMENT"):
            kind, comment = self._next()
            if kind != "text":
                raise self._wrong("a comment in quotes")
            self._at, column["metadata"] = self._after, {"comment": comment}
        return column

    def _type(self) -> Kind:
        kind, name = self._next()
        upper = name.upper()
        if kind == "word" and upper == "STRUCT":
            return self.struct()
        if kind != "word" or upper not in (*_NAMES, *_DECIMALS, "ARRAY"):
            raise self._wrong(f"one of the types {_KNOWN} (take STRING and cast it)")
        self._at = self._after
        if upper == "ARRAY":
            return self._array()
        return self._decimal() if upper in _DECIMALS else _NAMES[upper]

    def struct(self) -> Kind:
        self._must("STRUCT")
        self._must("<")
        columns = self.columns()
        self._must(">")
        return {"type": "struct", "fields": columns}

    def _array(self) -> Kind:
        self._must("<")
        element = self._type()
        self._must(">")
        return {"type": "array", "elementType": element, "containsNull": True}

    def _decimal(self) -> str:
        precision, scale = "10", "0"
        if self._take("("):
            precision = self._number()
            scale = self._number() if self._take(",") else "0"
            self._must(")")
        return f"decimal({precision},{scale})"

    def _number(self) -> str:
        kind, text = self._next()
        if kind != "word" or not text.isdigit():
            raise self._wrong("a number")
        self._at = self._after
        return text
