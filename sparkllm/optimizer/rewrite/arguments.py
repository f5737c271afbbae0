"""Arguments of a call as the parser has them -> as `typed_call` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.asked import CALLED, Asked, name_of, text_of
from sparkllm.typed_call import Column, Concat, Struct, typed_call

__all__ = ["read_call"]

_STRUCTS = ("struct", "named_struct")

Expand = Callable[[exp.Expr], list[exp.Expr]]


def read_call(node: exp.Expr, expand: Expand) -> Asked:
    """What a call asks. `expand` gives the columns of `*` and `t.*`.

    Raises:
        CallError: arguments that the function does not take.
    """
    given = _arguments(node)
    positional = [a for a in given if not isinstance(a, exp.Kwarg)]
    named = {a.this.name: _constant(a.expression) for a in given if isinstance(a, exp.Kwarg)}
    values = [_argument(a, expand) for a in positional]
    flat = [v for value in values for v in (value if isinstance(value, _Many) else [value])]
    typed = typed_call(name_of(node), flat, named)
    fields = tuple(_source(column) for column in typed.columns)
    return Asked(typed, fields, tuple(_source(column) for column in typed.needed))


class _Decimal(float):
    """A number that may be data, and has digits of its own then."""

    def __new__(cls, text: str) -> _Decimal:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


class _Many(list[Any]):
    """Columns in place of one argument."""


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    values = [node.args.get(name) for name in node.arg_types]
    return [v for value in values if value is not None for v in (value if isinstance(value, list) else [value])]


def _argument(e: exp.Expr, expand: Expand) -> Any:
    if isinstance(e, exp.Star) or (isinstance(e, exp.Column) and isinstance(e.this, exp.Star)):
        return _Many(_column(column) for column in expand(e))
    if isinstance(e, exp.Struct) or (isinstance(e, exp.Anonymous) and e.name.lower() in _STRUCTS):
        return Struct(tuple(_members(e, expand)))
    if isinstance(e, exp.Concat | exp.DPipe):
        parts = _parts(e)
        if all(isinstance(part, str) for part in parts):
            return "".join(parts)
        return Concat(tuple(parts)) if any(isinstance(part, str) for part in parts) else _column(e)
    if isinstance(e, exp.Alias):
        raise CallError(f"a field is renamed in a struct: write struct({text_of(e)})")
    try:
        return e if isinstance(e, exp.Null) else _constant(e)
    except CallError:
        return _column(e)


def _parts(e: exp.Expr) -> list[Any]:
    if isinstance(e, exp.Paren):
        return _parts(e.this)
    if isinstance(e, exp.Concat):
        return [part for inner in e.expressions for part in _parts(inner)]
    if isinstance(e, exp.DPipe):
        return _parts(e.this) + _parts(e.expression)
    return [str(e.this)] if isinstance(e, exp.Literal) and e.is_string else [_named(e)]


def _members(e: exp.Expr, expand: Expand) -> Iterator[Column]:
    for i, item in enumerate(e.expressions, 1):
        if isinstance(item, exp.PropertyEQ | exp.Alias):
            value = item.expression if isinstance(item, exp.PropertyEQ) else item.this
            yield Column(item.this.name if isinstance(item, exp.PropertyEQ) else item.alias, value)
        elif isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
            yield from (Column(column.name, column) for column in expand(item))
        else:
            yield _named(item, f"col{i}")


def _column(e: exp.Expr) -> Any:
    """A column by its name; anything else is named by its place."""
    name = e.meta.get(CALLED, e.name if isinstance(e, exp.Column | exp.Dot) else "")
    return Column(name, e) if name else e


def _named(e: exp.Expr, otherwise: str = "") -> Column:
    found = _column(e)
    return found if isinstance(found, Column) else Column(otherwise, e)


def _constant(e: exp.Expr) -> Any:
    """A constant's value in Python.

    Raises:
        CallError: it is none.
    """
    if isinstance(e, exp.Literal):
        return str(e.this) if e.is_string else int(e.name) if e.name.isdigit() else _Decimal(e.name)
    if isinstance(e, exp.Boolean):
        return bool(e.this)
    if isinstance(e, exp.Null):
        return None
    if isinstance(e, exp.Neg | exp.Paren):
        return -_constant(e.this) if isinstance(e, exp.Neg) else _constant(e.this)
    if isinstance(e, exp.Array):
        return [_constant(item) for item in e.expressions]
    if isinstance(e, exp.Struct) and all(isinstance(item, exp.PropertyEQ | exp.Alias) for item in e.expressions):
        pairs = [
            (m.this.name, m.expression) if isinstance(m, exp.PropertyEQ) else (m.alias, m.this) for m in e.expressions
        ]
        return {name: _constant(value) for name, value in pairs}
    raise CallError(f"expected a constant, found {text_of(e)}")


def _source(column: Column) -> exp.Expr:
    """A column that only the prompt names is one of the query's."""
    if column.source is None:
        return exp.column(*(exp.to_identifier(part, quoted=True) for part in reversed(column.name.split("."))))
    if isinstance(column.source, _Decimal):
        return exp.Literal.number(column.source.text)
    return column.source.copy() if isinstance(column.source, exp.Expr) else exp.convert(column.source)
