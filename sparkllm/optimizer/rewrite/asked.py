"""A call as it stands in a statement -> the call that is asked, its fields as expressions, and how its answer reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from sparkllm.answer_schema import ddl
from sparkllm.optimizer.spark_dialect import SparkSQL
from sparkllm.typed_call import TypedCall, function_names

__all__ = [
    "CALLED",
    "Asked",
    "called",
    "calls_in",
    "conjuncts",
    "is_call",
    "is_random",
    "leave",
    "lower_names",
    "name_of",
    "own_nodes",
    "remember_text",
    "shown",
    "text_of",
    "written",
]

_RANDOM = (
    "rand", "randn", "random", "uuid", "monotonically_increasing_id", "spark_partition_id", "shuffle", "randstr",
    "input_file_name",
)  # fmt: skip

# keys of an expression's meta
CALLED = "called"  # the name by which the model is told of it
_WRITTEN = "written"  # a call, as the user wrote it
_LEFT = "left"  # it looks like a call, and is the platform's own function


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
        return (self.typed.call.to_json(), self.typed.reading, *(text_of(lower_names(f)) for f in self.fields))

    def value(self, answer: str) -> exp.Expr:
        """The value, from the column of that name that holds `struct<value, error, ...>`."""
        value = self._of_text(exp.Dot(this=exp.column(answer), expression=exp.to_identifier("value")))
        if self.typed.call.on_error != "struct":
            return value
        error: exp.Expr = exp.maybe_parse(
            f"concat({answer}.error, coalesce(concat(': ', {answer}.detail), ''))", dialect=SparkSQL
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
    return e.sql(dialect=SparkSQL, normalize_functions=False)


def shown(e: exp.Expr) -> str:
    """What Spark calls a column of it, as near as its text tells.

    >>> from sqlglot import parse_one
    >>> shown(parse_one("SUM(a) + Count(*) + CAST(b AS STRING)"))
    'sum(a) + count(1) + CAST(b AS STRING)'
    """
    copy = e.copy()
    for count in copy.find_all(exp.Count):
        if isinstance(count.this, exp.Star):
            count.set("this", exp.Literal.number(1))
    return copy.sql(dialect=SparkSQL, normalize_functions="lower")


def remember_text(call: exp.Expr) -> None:
    """Before anything of it is replaced: what `written` gives."""
    call.meta[_WRITTEN] = text_of(call)


def written(call: exp.Expr) -> str:
    """A call as the user wrote it, for errors."""
    return call.meta.get(_WRITTEN) or text_of(call)


def leave(call: exp.Expr) -> None:
    """It is no call any more: the platform has a function of this name."""
    call.meta[_LEFT] = True


def is_call(e: exp.Expr) -> bool:
    """`llm(...)`, `llm_translate(...)`, `ai_translate(...)`; the parser has classes of its own for some of them."""
    return name_of(e) in function_names() and not e.meta.get(_LEFT)


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
    return any(isinstance(n, exp.Func) and name_of(n) in _RANDOM for n in e.walk())


def called(e: exp.Expr, name: str) -> exp.Expr:
    """`e` in the place of something that the model is told of by this name; "": of something without one."""
    e.meta[CALLED] = name
    return e


def name_of(e: exp.Expr) -> str:
    """A function's name in small letters; empty for anything else."""
    if isinstance(e, exp.Anonymous):
        return str(e.this).lower() if isinstance(e.this, str) else e.name.lower()
    return e.sql_name().lower() if isinstance(e, exp.Func) else ""


def lower_names(e: exp.Expr) -> exp.Expr:
    """A copy with the names of columns and functions in small letters, as Spark compares them; texts stay.

    >>> from sqlglot import parse_one
    >>> text_of(lower_names(parse_one("Abs(T.Title) = 'A'")))
    "ABS(t.title) = 'A'"
    """
    copy = e.copy()
    for name in copy.find_all(exp.Identifier, exp.Anonymous):
        if isinstance(name.this, str):
            name.set("this", name.this.lower())
    return copy
