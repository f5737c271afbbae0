"""Aggregates over answers: the values of a group are collected first, and the call is over the list.

`llm_agg('...', x)` -> `llm_agg('...', to_json(sort_array(collect_list(x))))`, which groups.py then takes apart like any
call over an aggregate. Sorted, so that the same group is the same prompt, however its rows came.
"""

from __future__ import annotations

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.aggregates import is_aggregate
from sparkllm.optimizer.rewrite.asked import is_call, name_of, shown, text_of, written
from sparkllm.tasks import tasks

__all__ = ["collect_groups"]

_VALUES = {"group": 1, "texts": 0}  # the place of the values among the arguments, by what a task takes first


def collect_groups(tree: exp.Expr) -> None:
    """Put the list in the place of the values, in every call of an aggregate.

    Raises:
        CallError: FILTER, DISTINCT or OVER at one; the message says what to write.
    """
    calls = [(call, at) for call in tree.walk() if is_call(call) and (at := _place(call)) is not None]
    for call, _ in calls:
        _check(call)
    for call, at in calls:
        given = call.expressions
        if at < len(given) and not isinstance(given[at], exp.Kwarg):
            _keep_name(call)
            given[at].replace(_list(given[at]))


def _place(call: exp.Expr) -> int | None:
    """Of the values among the arguments; None for what is no such call. `llm('agg', '...', x)` is one, too."""
    every = {task.function: _VALUES[task.first] for task in tasks().values() if task.first in _VALUES}
    first = call.expressions[0] if call.expressions else None
    if name_of(call) == "llm" and isinstance(first, exp.Literal) and f"llm_{first.name.strip()}" in every:
        return every[f"llm_{first.name.strip()}"] + 1
    return every.get(name_of(call))


def _check(call: exp.Expr) -> None:
    around = call.parent
    if isinstance(around, exp.Filter):
        condition = text_of(around.expression.this)
        raise CallError(f"{written(call)} takes no FILTER; give it CASE WHEN {condition} THEN ... END for its values")
    if any(isinstance(given, exp.Distinct) for given in call.expressions):
        raise CallError(f"{written(call)} takes no DISTINCT; take the distinct values in a subquery below")
    if isinstance(around, exp.Window):
        raise CallError(f"{written(call)} cannot be over a window; group in a subquery and join that")
    while around is not None and not isinstance(around, exp.Query):
        if is_aggregate(around) or _place(around) is not None:
            raise CallError(f"{written(call)} is in another aggregate's argument; group in a subquery")
        around = around.parent


def _keep_name(call: exp.Expr) -> None:
    """A column of the SELECT list is called what the user wrote."""
    column = call
    while column.parent is not None and not isinstance(column.parent, exp.Select | exp.Alias):
        column = column.parent
    if isinstance(column.parent, exp.Select) and column.arg_key == "expressions":
        named = exp.alias_(exp.null(), shown(column), quoted=True)
        column.replace(named)
        named.set("this", column)


def _list(values: exp.Expr) -> exp.Expr:
    many: exp.Expr = exp.ArrayAgg(this=values.copy())
    for function in ("sort_array", "to_json"):
        many = exp.Anonymous(this=function, expressions=[many])
    return many
