"""Prompts that are put together from texts and columns -> one constant prompt with `{field}` in it, and its fields.

What a prompt is made of decides what the optimizer can do: fields have names, equal ones meet, and the text that all
rows share is read once.
"""

from __future__ import annotations

import re

from sqlglot import exp

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.foreign import constant, text

__all__ = ["Piece", "content", "pieces", "prompt", "template"]

Piece = str | exp.Expr

_NUMBER = re.compile(r"\{(\d+)\}")
_FIELD = re.compile(r"\{([^\W\d]\w*(?:\.[^\W\d]\w*)*)\}")  # what llm() takes for a field's place
_WORD = re.compile(r"[^\W\d]\w*")


def pieces(e: exp.Expr) -> list[Piece]:
    """`'About ' || a`, `concat('About ', a)`, BigQuery's `('About ', a)` -> the text and the column."""
    if constant(e) is not None:
        return [str(constant(e))]
    if isinstance(e, exp.Concat | exp.Tuple):
        return [piece for part in e.expressions for piece in pieces(part)]
    if isinstance(e, exp.DPipe):
        return pieces(e.this) + pieces(e.expression)
    if isinstance(e, exp.Paren):
        return pieces(e.this)
    if isinstance(e, exp.Struct) and all(constant(_value(item)) is not None for item in e.expressions):
        return [str(constant(_value(item))) for item in e.expressions]
    if isinstance(e, exp.Struct):
        return [piece for item in e.expressions for piece in pieces(_value(item))]
    if isinstance(e, exp.Anonymous) and e.name.upper() == "PROMPT":
        return template(e.expressions)
    return [e]


def template(arguments: list[exp.Expr]) -> list[Piece]:
    """`PROMPT('Is {0} about {1}?', a, b)`.

    Raises:
        TranspileError: the template is not constant, or a number in it has no argument.
    """
    written = constant(arguments[0]) if arguments else None
    if written is None:
        raise TranspileError("PROMPT takes a constant template")
    out: list[Piece] = []
    for i, part in enumerate(_NUMBER.split(written)):
        if i % 2 == 0:
            out += [part] if part else []
        elif int(part) + 1 >= len(arguments):
            raise TranspileError(f"PROMPT has no argument {{{part}}}")
        else:
            out += pieces(arguments[int(part) + 1])
    return out


def prompt(parts: list[Piece]) -> list[exp.Expr]:
    """The prompt as a literal, and its fields behind it: columns, or a struct that names them.

    >>> [e.sql("spark") for e in prompt(["Is ", exp.column("review", "t"), " about {price}?"])]
    ["'Is {review} about {{price}}?'", 't.review']
    >>> [e.sql("spark") for e in prompt([exp.func("upper", exp.column("a")), exp.column("a", "u"), exp.column("a")])]
    ["'{value}{a}{a_2}'", 'STRUCT(UPPER(a) AS value, u.a AS a, a AS a_2)']
    """
    names: dict[str, str] = {}
    fields: dict[str, exp.Expr] = {}
    written = []
    for part in parts:
        if isinstance(part, str):
            written.append(_FIELD.sub(r"{{\1}}", part))
            continue
        key = part.sql()
        if key not in names:
            names[key] = _free(part, fields)
            fields[names[key]] = part
        written.append(f"{{{names[key]}}}")
    return [text("".join(written)), *_arguments(fields)]


def content(e: exp.Expr) -> exp.Expr:
    """Data, which is one expression: what is put together from several stays so.

    Raises:
        TranspileError: it is a prompt with places of its own.
    """
    parts = pieces(e)
    if isinstance(e, exp.Tuple | exp.Struct) or (isinstance(e, exp.Anonymous) and e.name.upper() == "PROMPT"):
        columns = [text(part) if isinstance(part, str) else part for part in parts]
        return columns[0] if len(columns) == 1 else exp.Concat(expressions=columns, safe=False, coalesce=False)
    return e


def _arguments(fields: dict[str, exp.Expr]) -> list[exp.Expr]:
    if all(isinstance(e, exp.Column) and e.name == name for name, e in fields.items()):
        return list(fields.values())
    return [exp.Struct(expressions=[exp.alias_(e.copy(), name) for name, e in fields.items()])]


def _free(e: exp.Expr, taken: dict[str, exp.Expr]) -> str:
    own = e.name if isinstance(e, exp.Column | exp.Dot) and _WORD.fullmatch(e.name) else "value"
    free = (f"{own}_{i}" if i > 1 else own for i in range(1, len(taken) + 2))
    return next(name for name in free if name.lower() not in {t.lower() for t in taken})


def _value(item: exp.Expr) -> exp.Expr:
    return item.expression if isinstance(item, exp.PropertyEQ) else item.this if isinstance(item, exp.Alias) else item
