"""Prompts that are put together from texts and columns -> a call that knows which is which.

What a prompt is made of decides what the optimizer can do: fields have names, equal ones meet, and the text that all
rows share is read once. On all three platforms a prompt is NULL where one of its columns is; `llm_gen('Is ' || a)` has
that rule itself, a prompt with `{a}` in it says null there and needs a condition.
"""

from __future__ import annotations

import re

from sqlglot import exp

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.foreign import constant, ours, text

__all__ = ["Piece", "ask", "content", "pieces", "prompt", "struct_pieces", "template"]

Piece = str | exp.Expr

_TAKEN_APART = ("llm_gen", "llm_filter", "llm_score")  # tasks.json: their first argument is a prompt
_NUMBER = re.compile(r"\{(\d+)\}")
_FIELD = re.compile(r"\{([^\W\d]\w*(?:\.[^\W\d]\w*)*)\}")  # what llm() takes for a field's place
_WORD = re.compile(r"[^\W\d]\w*")


def pieces(e: exp.Expr) -> list[Piece]:
    """`'About ' || a`, `concat('About ', a)`, `PROMPT('About {0}', a)` -> the text and the column.

    Raises:
        TranspileError: it is a struct, an array or NULL.
    """
    if (written := constant(e)) is not None:
        return [written]
    if type(e) is exp.Concat:  # concat_ws is one, too
        return [piece for part in e.expressions for piece in pieces(part)]
    if isinstance(e, exp.DPipe):
        return pieces(e.this) + pieces(e.expression)
    if isinstance(e, exp.Paren):
        return pieces(e.this)
    if isinstance(e, exp.Null):
        raise TranspileError("takes a text, found NULL")
    if isinstance(e, exp.Struct | exp.Tuple | exp.Array | exp.VarMap | exp.Map):
        raise TranspileError("takes a text; a conversation, or fields in a struct, have no counterpart")
    if isinstance(e, exp.Anonymous) and e.name.upper() == "PROMPT":
        return template(e.expressions)
    return [e]


def struct_pieces(e: exp.Expr) -> list[Piece]:
    """BigQuery's prompts: the fields of a struct, `('About ', a)`, are put together."""
    if isinstance(e, exp.Tuple | exp.Struct):
        return [piece for item in e.expressions for piece in struct_pieces(_value(item))]
    return pieces(e)


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


def ask(function: str, parts: list[Piece], **options: exp.Expr) -> exp.Expr:
    """The call of a function whose first argument is a prompt; NULL where one of the columns is.

    >>> parts = ["Is ", exp.column("a"), " like ", exp.column("b"), "?"]
    >>> ask("llm_filter", parts).sql("spark", normalize_functions=False)
    "llm_filter('Is ' || a || ' like ' || b || '?')"
    >>> ask("llm", parts).sql("spark", normalize_functions=False)
    "IF(a IS NULL OR b IS NULL, NULL, llm('Is {a} like {b}?', a, b))"
    """
    if function in _TAKEN_APART and _is_expression(parts):
        return ours(function, _bars(parts), **options)
    call = ours(function, *prompt(parts), **options)
    fields = {part.sql(): part for part in parts if not isinstance(part, str)}
    if len(fields) < 2:  # a call whose only field is NULL is not made
        return call
    missing = [exp.Is(this=_wrapped(field), expression=exp.null()) for field in fields.values()]
    return exp.If(this=exp.or_(*missing, copy=False), true=exp.null(), false=call)


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


def content(parts: list[Piece]) -> exp.Expr:
    """Data, which is one expression.

    >>> content([exp.column("a"), ": ", exp.column("b")]).sql("spark")
    "a || ': ' || b"
    """
    return _bars(parts)


def _is_expression(parts: list[Piece]) -> bool:
    """A constant is a prompt with places of its own: `{a}` in it stands for a field."""
    braces = any(isinstance(part, str) and _FIELD.search(part) for part in parts)
    columns = any(isinstance(part, exp.Expr) and part.find(exp.Column) for part in parts)
    return columns or not (braces or all(isinstance(part, str) for part in parts))


def _bars(parts: list[Piece]) -> exp.Expr:
    joined: list[Piece] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    first, *more = [text(part) if isinstance(part, str) else _wrapped(part, len(joined)) for part in joined]
    for part in more:
        first = exp.DPipe(this=first, expression=part, safe=True)
    return first


def _wrapped(e: exp.Expr, among: int = 2) -> exp.Expr:
    """In parentheses, where an operator beside it could take a part of it."""
    loose = isinstance(e, exp.Binary | exp.Unary | exp.Predicate) and not isinstance(e, exp.Dot | exp.Func | exp.Paren)
    return exp.paren(e.copy()) if loose and among > 1 else e.copy()


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
