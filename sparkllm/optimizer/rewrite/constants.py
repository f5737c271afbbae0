"""Constants of a statement -> their values in Python, those that Spark would fold among them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.asked import text_of

__all__ = ["Fraction", "Items", "constant_value", "is_concat"]

_WHOLE: dict[type[exp.Expr], Callable[[Any, Any], Any]] = {
    exp.Add: operator.add,
    exp.Sub: operator.sub,
    exp.Mul: operator.mul,
}
_INTEGERS = ("TINYINT", "SMALLINT", "INT", "BIGINT")
_FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")
_MOST = 2**31


class Fraction(float):
    """A number that may be data, and has digits of its own then: those of its expression."""

    def __new__(cls, value: float | str, written: exp.Expr) -> Fraction:
        made = super().__new__(cls, value)
        made.written = written
        return made

    written: exp.Expr

    def __str__(self) -> str:
        return text_of(self.written)


class Items(list[Any]):
    """An array that may be data: its expression is kept."""

    def __init__(self, values: list[Any], written: exp.Expr) -> None:
        super().__init__(values)
        self.written = written


def constant_value(e: exp.Expr) -> Any:
    """str, int, bool, None, a `Fraction`, `Items` or a dict.

    >>> from sqlglot import parse_one
    >>> constant_value(parse_one("array('a' || 'b', (5 + 5) * 2, NULL)", read="spark"))
    ['ab', 20, None]

    Raises:
        CallError: it is none, or one that only Spark can tell.
    """
    if isinstance(e, exp.Literal | exp.RawString):
        return _literal(e)
    if isinstance(e, exp.Boolean):
        return bool(e.this)
    if isinstance(e, exp.Null):
        return None
    if isinstance(e, exp.Paren):
        return constant_value(e.this)
    if isinstance(e, exp.Neg | exp.Add | exp.Sub | exp.Mul | exp.Div):
        return _number(e)
    if isinstance(e, exp.Cast):
        return _cast(e)
    if is_concat(e):
        return "".join(_text(part, e) for part in (e.expressions or (e.this, e.expression)))
    if isinstance(e, exp.Array):
        return Items([constant_value(item) for item in e.expressions], e)
    if isinstance(e, exp.Struct) and all(isinstance(item, exp.PropertyEQ | exp.Alias) for item in e.expressions):
        return dict(_member(item) for item in e.expressions)
    raise _none(e)


def is_concat(e: exp.Expr) -> bool:
    """`a || b` or `concat(a, b)`; sqlglot takes `concat_ws(a, b, c)` for one, too."""
    return isinstance(e, exp.DPipe | exp.Concat) and not isinstance(e, exp.ConcatWs)


def _literal(e: exp.Expr) -> Any:
    if isinstance(e, exp.RawString) or e.is_string:
        return str(e.this)
    return int(e.name) if e.name.isdigit() else Fraction(e.name, e)


def _number(e: exp.Expr) -> Any:
    values = [constant_value(side) for side in (e.this, e.args.get("expression")) if side is not None]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise _none(e)
    if isinstance(e, exp.Neg):
        return -values[0] if isinstance(values[0], int) else Fraction(-values[0], e)
    if isinstance(e, exp.Div):
        if not values[1]:
            raise _none(e)
        return Fraction(values[0] / values[1], e)
    value = _WHOLE[type(e)](*values)
    if isinstance(value, float):
        return Fraction(value, e)
    if abs(value) >= _MOST:  # an INT of Spark's has no such value
        raise _none(e)
    return value


def _cast(e: exp.Cast) -> Any:
    """`20L` and `2.5D` are casts to sqlglot."""
    kind, value = e.to.this.name, constant_value(e.this)
    if kind in ("TEXT", "VARCHAR") and isinstance(value, str) and not e.to.expressions:
        return value
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            if kind in _INTEGERS and not isinstance(value, float):
                return int(value)
            if kind in _FRACTIONS:
                return Fraction(value, e)
        except ValueError:
            pass
    raise _none(e)


def _text(part: exp.Expr, whole: exp.Expr) -> str:
    value = constant_value(part)
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise _none(whole)


def _member(item: exp.Expr) -> tuple[str, Any]:
    if isinstance(item, exp.PropertyEQ):
        return item.this.name, constant_value(item.expression)
    return item.alias, constant_value(item.this)


def _none(e: exp.Expr) -> CallError:
    return CallError(f"expected a constant, found {text_of(e)}")
