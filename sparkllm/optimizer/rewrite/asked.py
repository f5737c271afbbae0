"""A call as it stands in a statement -> the call that is asked, its fields as expressions, and how its answer reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from sparkllm.answer_schema import ddl
from sparkllm.errors import CallError
from sparkllm.typed_call import Column, Concat, Struct, TypedCall, function_names, typed_call

__all__ = [
    "AGGREGATES",
    "Asked",
    "called",
    "calls_in",
    "conjuncts",
    "is_call",
    "is_random",
    "own_nodes",
    "read_call",
    "text_of",
]

AGGREGATES = ("llm_agg", "llm_summarize_agg")
_STRUCTS = ("struct", "named_struct")

_RANDOM = (
    "rand", "randn", "random", "uuid", "monotonically_increasing_id", "spark_partition_id", "shuffle", "randstr",
    "input_file_name",
)  # fmt: skip

_CALLED = "called"

Expand = Callable[[exp.Expr], list[exp.Expr]]


@dataclass(frozen=True)
class Asked:
    """One call of a SELECT.

    Attributes:
        typed: the call and how its answer's text becomes a value.
        fields: what it reads, one expression for each of `typed.call.fields`.
        needed: expressions of which none may be NULL, else there is no prompt.
    """

    typed: TypedCall
    fields: tuple[exp.Expr, ...]
    needed: tuple[exp.Expr, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for calls that give equal answers."""
        return (self.typed.call.to_json(), self.typed.reading, *(text_of(_lower(f)) for f in self.fields))

    def value(self, answer: str) -> exp.Expr:
        """The value, from the column of that name that holds `struct<value, error, ...>`."""
        value = self._of_text(exp.Dot(this=exp.column(answer), expression=exp.to_identifier("value")))
        if self.typed.call.on_error != "struct":
            return value
        error: exp.Expr = exp.maybe_parse(
            f"concat({answer}.error, coalesce(concat(': ', {answer}.detail), ''))", dialect="spark"
        )
        names = self.typed.error_names
        parts = [part for name, e in zip(names, (value, error), strict=True) for part in (exp.Literal.string(name), e)]
        return exp.Anonymous(this="named_struct", expressions=parts)

    def _of_text(self, told: exp.Expr) -> exp.Expr:
        if self.typed.reading == "text":
            return told
        if self.typed.reading == "boolean":
            return exp.Paren(this=exp.EQ(this=told, expression=exp.Literal.string("true")))
        columns = exp.Literal.string(ddl(str(self.typed.call.schema)))
        read = exp.Anonymous(this="from_json", expressions=[told, columns])
        return read if self.typed.reading == "columns" else exp.Dot(this=read, expression=exp.to_identifier("answer"))


def text_of(e: exp.Expr) -> str:
    """Spark SQL."""
    return e.sql(dialect="spark", normalize_functions=False)


def is_call(e: exp.Expr) -> bool:
    """`llm(...)`, `llm_translate(...)`, `ai_translate(...)`; the parser has classes of its own for some of them."""
    return _name(e) in (*function_names(), *AGGREGATES)


def own_nodes(e: exp.Expr) -> Iterator[exp.Expr]:
    """`e` and what is in it, but nothing of the queries inside."""
    return e.walk(prune=lambda node: isinstance(node, exp.Query) and node is not e)


def calls_in(e: exp.Expr | None) -> list[exp.Expr]:
    """The calls of `e` itself, inner ones first."""
    found = (
        [node for node in own_nodes(e) if not isinstance(node, exp.Query) and is_call(node)] if e is not None else []
    )
    return sorted(found, key=lambda node: -node.depth)


def conjuncts(e: exp.Expr | None) -> list[exp.Expr]:
    """What must hold together: `((a AND b) AND c)` is three.

    >>> from sqlglot import parse_one
    >>> [c.sql() for c in conjuncts(parse_one("((a AND (b OR c)) AND d)"))]
    ['a', 'b OR c', 'd']
    """
    if isinstance(e, exp.Paren):
        return conjuncts(e.this)
    if isinstance(e, exp.And):
        return conjuncts(e.this) + conjuncts(e.expression)
    return [] if e is None else [e]


def is_random(e: exp.Expr) -> bool:
    """It may have another value each time, or in another place."""
    return any(isinstance(n, exp.Func) and _name(n) in _RANDOM for n in e.walk())


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
    typed = typed_call(_name(node), flat, named)
    fields = tuple(_source(column) for column in typed.columns)
    return Asked(typed, fields, tuple(_source(column) for column in typed.needed))


class _Many(list[Any]):
    """Columns in place of one argument."""


def _name(e: exp.Expr) -> str:
    if isinstance(e, exp.Anonymous):
        return str(e.this).lower() if isinstance(e.this, str) else e.name.lower()
    return e.sql_name().lower() if isinstance(e, exp.Func) else ""


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
        return Concat(tuple(parts)) if any(isinstance(p, str) for p in parts) else _column(e)
    if isinstance(e, exp.Alias):
        raise CallError(f"a field is renamed in a struct: write struct({text_of(e)})")
    try:
        return _constant(e)
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


def called(e: exp.Expr, name: str) -> exp.Expr:
    """`e` in the place of something that the model is told of by this name; "": of something without one."""
    e.meta[_CALLED] = name
    return e


def _column(e: exp.Expr) -> Any:
    """A column by its name; anything else is named by its place."""
    name = e.meta.get(_CALLED, e.name if isinstance(e, exp.Column | exp.Dot) else "")
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
        return (
            str(e.this) if e.is_string else (float(e.this) if "." in e.name or "e" in e.name.lower() else int(e.this))
        )
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
        return exp.column(*reversed(column.name.split(".")))
    return column.source.copy() if isinstance(column.source, exp.Expr) else exp.convert(column.source)


def _lower(e: exp.Expr) -> exp.Expr:
    """Names without regard to case, as Spark has them."""
    copy = e.copy()
    for name in copy.find_all(exp.Identifier):
        name.set("this", str(name.this).lower())
    return copy
