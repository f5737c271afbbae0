"""Arguments of a call as the parser has them -> as `typed_call` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.asked import CALLED, Asked, name_of, text_of, written
from sparkllm.optimizer.rewrite.constants import Fraction, Items, constant_value, is_concat
from sparkllm.typed_call import Column, Concat, Struct, typed_call

__all__ = ["Expand", "read_call"]

_STRUCTS = ("struct", "named_struct")

Expand = Callable[[exp.Expr], list[exp.Expr]]


def read_call(node: exp.Expr, expand: Expand) -> Asked:
    """What a call asks. `expand` gives the columns of `*` and `t.*`.

    Raises:
        CallError: arguments that the function does not take.
    """
    try:
        return _read(node, expand)
    except CallError as error:
        raise CallError(f"{error} (in {written(node)})") from error


def _read(node: exp.Expr, expand: Expand) -> Asked:
    given = _arguments(node)
    positional = [a for a in given if not isinstance(a, exp.Kwarg)]
    named = {a.this.name: _option(a) for a in given if isinstance(a, exp.Kwarg)}
    values = [_argument(a, expand) for a in positional]
    flat = [v for value in values for v in (value if isinstance(value, _Many) else [value])]
    typed = typed_call(name_of(node), flat, named)
    own = len(typed.columns) - typed.implied  # the others only the prompt names
    fields = [_source(column) for column in typed.columns[:own]] + [_implied(c) for c in typed.columns[own:]]
    return Asked(typed, tuple(fields), tuple(_source(column) for column in typed.needed))


class _Many(list[Any]):
    """Columns in place of one argument."""


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    values = [node.args.get(name) for name in node.arg_types]
    return [v for value in values if value is not None for v in (value if isinstance(value, list) else [value])]


def _option(e: exp.Kwarg) -> Any:
    try:
        return constant_value(e.expression)
    except CallError as error:
        raise CallError(f"{e.this.name} is a constant: {error}; fields are given without names") from None


def _argument(e: exp.Expr, expand: Expand) -> Any:
    if isinstance(e, exp.Star) or (isinstance(e, exp.Column) and isinstance(e.this, exp.Star)):
        return _Many(_named(column) for column in expand(e))
    if isinstance(e, exp.Struct) or (isinstance(e, exp.Anonymous) and e.name.lower() in _STRUCTS):
        return Struct(tuple(_members(e, expand)))
    if isinstance(e, exp.Alias):
        raise CallError(f"a field is renamed in a struct: write struct({text_of(e)})")
    try:
        return constant_value(e)
    except CallError:
        column = _named(e)
        return column if column.name else Concat(tuple(_parts(e)), e, text_of(e))


def _parts(e: exp.Expr) -> list[Any]:
    """What a prompt is put together from: PromptText.scala has the same."""
    if isinstance(e, exp.Paren):
        return _parts(e.this)
    try:
        value = constant_value(e)
    except CallError:
        value = None
    if isinstance(value, str) or type(value) is int:
        return [str(value)]
    if is_concat(e):
        return [part for inner in (e.expressions or (e.this, e.expression)) for part in _parts(inner)]
    return [_named(e.this if isinstance(e, exp.Cast) and e.to.this in exp.DataType.TEXT_TYPES else e)]


def _members(e: exp.Expr, expand: Expand) -> Iterator[Column]:
    for i, item in enumerate(e.expressions, 1):
        if isinstance(item, exp.PropertyEQ | exp.Alias):
            value = item.expression if isinstance(item, exp.PropertyEQ) else item.this
            yield Column(item.this.name if isinstance(item, exp.PropertyEQ) else item.alias, value)
        elif isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
            yield from (Column(column.name, column) for column in expand(item))
        else:
            yield _named(item, f"col{i}")


def _named(e: exp.Expr, otherwise: str = "") -> Column:
    """A column by its name; anything else is named by its place."""
    name = e.meta.get(CALLED, e.name if isinstance(e, exp.Column | exp.Dot) else "")
    return Column(name or otherwise, e, text_of(e))


def _source(column: Column) -> exp.Expr:
    if isinstance(column.source, Fraction | Items):
        return column.source.written.copy()
    return column.source.copy() if isinstance(column.source, exp.Expr) else exp.convert(column.source)


def _implied(column: Column) -> exp.Expr:
    """The query's column of this name."""
    return exp.column(*(exp.to_identifier(part, quoted=True) for part in reversed(column.name.split("."))))
