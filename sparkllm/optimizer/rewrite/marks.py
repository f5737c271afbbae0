"""Columns that stand for calls while a SELECT is worked on, and what they are replaced by."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace

from sqlglot import exp

from sparkllm.optimizer.rewrite.arguments import Expand, read_call
from sparkllm.optimizer.rewrite.asked import CALLED, Asked, calls_in, is_call, own_nodes, shown
from sparkllm.optimizer.rewrite.guards import guard_of
from sparkllm.task_constants import found
from sparkllm.typed_call import Column

__all__ = ["answers_in", "fill", "filled", "guards_of", "named"]


def guards_of(answer: str, root: exp.Expr, outer: exp.Expr | None) -> list[exp.Expr | None]:
    """For each place in `root` that reads the answer, the rows that it reads it for; of `outer` at most."""
    found = [c for c in own_nodes(root) if isinstance(c, exp.Column) and c.name == answer and not c.table]
    own = [guard_of(c, root) for c in found]
    if outer is None:
        return own
    return [outer if guard is None else exp.and_(outer.copy(), guard) for guard in own]


def fill(holder: exp.Expr, known: Mapping[str, Asked]) -> None:
    """Values in place of the columns inside `holder` that stand for calls."""
    for column in [n for n in own_nodes(holder) if isinstance(n, exp.Column) and n.name in known and not n.table]:
        column.replace(known[column.name].value(column.name))


def filled(e: exp.Expr, known: Mapping[str, Asked]) -> exp.Expr:
    """A copy of `e` with values in place of the columns that stand for calls."""
    holder = exp.Tuple(expressions=[e.copy()])
    fill(holder, known)
    return holder.expressions[0]


def answers_in(e: exp.Expr, names: Container[str]) -> list[str]:
    """The columns of these names that `e` reads."""
    return [c.name for c in own_nodes(e) if isinstance(c, exp.Column) and c.name in names]


def named(before: exp.Expr, after: exp.Expr, expand: Expand) -> exp.Expr:
    """A column of the SELECT list keeps the name that it would have had; `expand` gives the columns of a star."""
    if isinstance(before, exp.Alias | exp.Star) or (
        isinstance(before, exp.Column) and isinstance(before.this, exp.Star)
    ):
        return after
    if isinstance(before, exp.Column | exp.Dot) and not calls_in(before):
        return after if after.name == before.name else exp.alias_(after, before.name, quoted=True)
    return exp.alias_(after, _name(before, expand), quoted=True) if calls_in(before) else after


def _name(e: exp.Expr, expand: Expand) -> str:
    """A call's is as LLMCall.scala has it: without the fields that only its prompt names."""
    if not is_call(e):
        return shown(e)
    typed = read_call(e, expand).typed
    fields = typed.columns[len(typed.needed) : len(typed.columns) - typed.implied]
    return str(replace(typed.call, fields=tuple(map(_field, fields))))


def _field(column: Column) -> str:
    source = column.source
    if isinstance(source, exp.Column | exp.Dot):
        return source.meta.get(CALLED, source.name) or column.name
    if isinstance(source, exp.Expr):
        return shown(source)
    return source if isinstance(source, str) else found(source)
