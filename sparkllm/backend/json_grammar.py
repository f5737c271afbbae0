"""JSON schema -> grammar of xgrammar, vLLM's default for structured output.

xgrammar's own translation (0.2.8) forbids every escape in a string that has a maxLength, so that an answer ends at the
first quotation mark (https://github.com/mlc-ai/xgrammar/issues/800), and leaves spaces and digits unbounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["json_grammar"]

# A repeated choice of character or escape costs 300 times as much for each token as this repeated class.
_CHARACTER = r'[^"\\\x00-\x1f\x7f]'
_ESCAPE = r'"\\" ["\\/bnfrt]'
_CHARACTERS_PER_ESCAPE = 16

_DIGITS = 15  # what a DOUBLE holds
_EXPONENT = " ([eE] [+-]? [0-9]{1,2})?"
_DATE = (
    '"\\"" [0-9]{4} "-" (("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-9])'
    ' | ("0" [13-9] | "1" [0-2]) "-" ("29" | "30") | ("0" [13578] | "1" [02]) "-31") "\\""'
)


def json_grammar(schema: dict[str, Any]) -> str:
    """The grammar of the values that `schema` describes, written as `json.dumps` writes them.

    Args:
        schema: what sparkllm/answer_schema.py makes; it takes no other keywords than those.
    """
    rules: dict[str, str] = {}
    root = _rule(schema, rules)
    return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in rules.items())]) + "\n"


def _rule(schema: dict[str, Any], rules: dict[str, str]) -> str:
    """The name of the rule of a value; equal values share one."""
    body = _body(schema, rules)
    name = next((name for name, known in rules.items() if known == body), f"r{len(rules)}")
    rules[name] = body
    return name


def _body(schema: dict[str, Any], rules: dict[str, str]) -> str:
    if "anyOf" in schema:
        return " | ".join(_rule(one, rules) for one in schema["anyOf"])
    kind = schema["type"]
    if kind == "object":
        return _object(schema["properties"], rules)
    if kind == "array":
        item = _rule(schema["items"], rules)
        return f'"[" ({item} (", " {item}){{0,{schema["maxItems"] - 1}}})? "]"'
    if kind == "string":
        return _DATE if schema.get("format") == "date" else _string(schema["maxLength"], rules)
    if kind == "integer":
        return f'"0" | "-"? ({" | ".join(_up_to(str(schema["maximum"])))})'
    if kind == "number":
        return _number(schema.get("exclusiveMaximum"))
    return '"true" | "false"' if kind == "boolean" else '"null"'


def _object(properties: dict[str, Any], rules: dict[str, str]) -> str:
    keys = [_literal(json.dumps(name, ensure_ascii=False) + ": ") for name in properties]
    values = [_rule(schema, rules) for schema in properties.values()]
    return '"{" ' + ' ", " '.join(map(" ".join, zip(keys, values, strict=True))) + ' "}"'


def _string(most: int, rules: dict[str, str]) -> str:
    """Runs of at most `most` characters with some escapes between them."""
    rules["character"], rules["escape"] = _CHARACTER, _ESCAPE
    rules[f"run{most}"] = f"character{{0,{most}}}"
    escapes = most // _CHARACTERS_PER_ESCAPE
    return f'"\\"" run{most} (escape run{most}){{0,{escapes}}} "\\""'


def _up_to(most: str) -> Iterator[str]:
    """Whole numbers from 1 to `most`, which has two digits or more."""
    yield f"[1-9] [0-9]{{0,{len(most) - 2}}}"
    for i, digit in enumerate(most):
        least = 0 if i else 1
        if int(digit) > least:
            same = f'"{most[:i]}" ' if i else ""
            rest = f" [0-9]{{{len(most) - i - 1}}}" if i < len(most) - 1 else ""
            yield f"{same}[{least}-{int(digit) - 1}]{rest}"
    yield f'"{most}"'


def _number(bound: int | None) -> str:
    """A bound is a power of ten: so many digits before the point, and no exponent."""
    digits = _DIGITS if bound is None else min(_DIGITS, len(str(bound)) - 1)
    whole = f'("0" | [1-9] [0-9]{{0,{digits - 1}}})' if digits else '"0"'
    return f'"-"? {whole} ("." [0-9]{{1,9}})?{_EXPONENT if bound is None else ""}'


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
