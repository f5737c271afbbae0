"""Derived tables, one on the other: conditions, then one call, then what its answer decides, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from sparkllm.optimizer.rewrite.asked import Asked, text_of
from sparkllm.optimizer.rewrite.rows import Names, Rows

__all__ = ["ANSWER_TYPE", "FUNCTION", "Ask", "Levels", "as_text"]

FUNCTION = "__llm_ask"
ANSWER_TYPE = "STRUCT<value: STRING, error: STRING, detail: STRING>"
_JSON = ("array", "map", "struct")
_NO_ORDER = ("map", "variant")  # what REPARTITION_BY_RANGE does not take


@dataclass
class Ask:
    """One call of a SELECT.

    Attributes:
        asked: what is asked; fields over the rows and over earlier answers.
        answer: the column of its answers.
        guard: which rows are asked; None for all.
        types: SQL types of the fields.
        request: what the worker is told, as JSON.
        moves: its rows may be brought together.
    """

    asked: Asked
    answer: str
    guard: exp.Expr | None = None
    types: Sequence[str] = ()
    request: str = ""
    moves: bool = True


def as_text(e: exp.Expr, kind: str) -> exp.Expr:
    """A field as the model sees it: as LLMStrategy.scala has it.

    >>> text_of(as_text(exp.column("a"), "int")), text_of(as_text(exp.column("a"), "array<int>"))
    ('CAST(a AS STRING)', 'make_valid_utf8(to_json(a))')
    """
    if kind.startswith(_JSON):
        return _valid(exp.Anonymous(this="to_json", expressions=[e.copy()]))
    if kind.startswith("string"):
        return _valid(e.copy())
    text = exp.cast(e.copy(), "string")
    return _valid(text) if kind == "binary" else text


@dataclass
class Levels:
    """Builds them over the rows of a SELECT.

    Attributes:
        rows: where they begin.
        hints: equal prompts of different tasks are to meet, and rows that share a prefix.
        partitions: how many tasks there are to be; 0 leaves it to Spark.
    """

    rows: Rows
    names: Names
    hints: bool
    partitions: int = 0
    added: list[str] = field(default_factory=list)
    _where: list[exp.Expr] = field(default_factory=list)
    _placed: tuple[str, ...] = ()
    _asked: bool = False

    def __post_init__(self) -> None:
        self.table = self.rows.base()

    def keep(self, condition: exp.Expr) -> None:
        """Only rows for which it holds go on."""
        self._where.append(condition)

    def ask(self, ask: Ask) -> None:
        """One call: fields as columns where they are none, rows brought together by them, and the function."""
        made: list[exp.Expr] = []
        columns = [self._column(e, made) for e in ask.asked.fields]
        self._level(made, self._hint(columns, ask.types) if self.hints and ask.moves else None)
        texts = [as_text(column, kind) for column, kind in zip(columns, ask.types, strict=True)]
        guard = exp.and_(*_conditions(ask), copy=True) if columns and _conditions(ask) else None
        if guard is not None:
            texts = [exp.func("IF", guard.copy(), text, exp.null()) for text in texts]
        arguments = [exp.Literal.string(ask.request), _row(texts), exp.Literal.string("")]
        answered = exp.Anonymous(this=FUNCTION, expressions=arguments)
        self._level([exp.alias_(answered, ask.answer)], None)
        self.added.append(ask.answer)
        self._asked = True

    def finish(self, sorted_above: bool, few: bool) -> tuple[exp.Subquery, list[exp.Expr]]:
        """The derived table, and conditions that are left for the SELECT above it.

        A global sort above reads its rows twice, to find its ranges: they are kept for that, `few` of them in one task,
        where there are no ranges.
        """
        if sorted_above and self._asked:
            number = [exp.Literal.number(1)] if few else self._number()
            keep = exp.Anonymous(this="REPARTITION", expressions=number) if number else exp.var("REPARTITION")
            self._level([], exp.Hint(expressions=[keep]))
        return self._subquery(), self._where

    def _column(self, e: exp.Expr, made: list[exp.Expr]) -> exp.Expr:
        """The column that holds a field; one that has to be made for it goes to `made`."""
        if isinstance(e, exp.Column) and len(e.parts) <= 2:
            return e
        name = self.names.fresh("f")
        self.added.append(name)
        made.append(exp.alias_(e.copy(), name))
        return exp.column(name)

    def _hint(self, columns: Sequence[exp.Expr], types: Sequence[str]) -> exp.Hint | None:
        """A sort that samples its rows must not run a call again: below a call there is a hash instead.

        Rows that are in place for the same fields stay.
        """
        taken = [c for c, kind in zip(columns, types, strict=True) if not any(k in kind for k in _NO_ORDER)]
        names = tuple(map(text_of, taken))
        if not taken or names == self._placed:
            return None
        self._placed = names
        name = "REPARTITION" if self._asked else "REPARTITION_BY_RANGE"
        return exp.Hint(
            expressions=[exp.Anonymous(this=name, expressions=[*self._number(), *(c.copy() for c in taken)])]
        )

    def _number(self) -> list[exp.Expr]:
        return [exp.Literal.number(self.partitions)] if self.partitions else []

    def _level(self, columns: list[exp.Expr], hint: exp.Hint | None) -> None:
        if not columns and hint is None and not self._where:
            return
        select = exp.Select(expressions=[exp.Star(), *columns])
        select.set("from_", exp.From(this=self._subquery()))
        if self._where:
            select.where(*self._where, copy=False)
            self._where = []
        if hint is not None:
            select.set("hint", hint)
        self.table = select

    def _subquery(self) -> exp.Subquery:
        return exp.Subquery(this=self.table, alias=exp.TableAlias(this=exp.to_identifier(self.rows.alias)))


def _conditions(ask: Ask) -> list[exp.Expr]:
    there: list[exp.Expr] = [
        exp.Not(this=exp.Is(this=exp.paren(e.copy()), expression=exp.null())) for e in ask.asked.needed
    ]
    return there if ask.guard is None else [exp.paren(ask.guard.copy()), *there]


def _row(texts: Sequence[exp.Expr]) -> exp.Expr:
    """The fields as a struct named f0, f1, ...: Arrow wants distinct names, and the call has the real ones."""
    columns = texts or [exp.cast(exp.null(), "string")]
    parts = [part for i, text in enumerate(columns) for part in (exp.Literal.string(f"f{i}"), text)]
    return exp.Anonymous(this="named_struct", expressions=parts)


def _valid(e: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="make_valid_utf8", expressions=[e])
