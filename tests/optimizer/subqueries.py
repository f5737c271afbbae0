"""Subqueries of a query tree, and what of them depends on the row outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

from tests.optimizer import query_tree as sql

__all__ = ["Subquery", "alone", "conjunction", "correlated", "made_for", "of_one_table", "subqueries"]

Subquery = sql.InQuery | sql.Exists | sql.Scalar


def subqueries(e: sql.Expr | None) -> list[Subquery]:
    return [n for n in sql.nodes(e) if isinstance(n, Subquery)] if e is not None else []


def correlated(subquery: Subquery) -> bool:
    query = subquery.query
    return isinstance(query, sql.Select) and any(not columns(c) <= inside(query) for c in sql.conjuncts(query.where))


def made_for(subquery: Subquery) -> sql.Query:
    """A correlated subquery as it is made for rows outside: not yet with its calls over their columns."""
    query = subquery.query
    if not isinstance(query, sql.Select):
        return query
    calls = {c: [n for n in sql.nodes(c) if isinstance(n, sql.Call)] for c in sql.conjuncts(query.where)}
    own = inside(query)
    return replace(query, where=conjunction(c for c in calls if all(columns(call) <= own for call in calls[c])))


def alone(subquery: Subquery) -> sql.Query:
    """A subquery without the row outside. A scalar one is grouped by b of `outer.a = b`: nobody looks for NULL."""
    query = subquery.query
    if not isinstance(query, sql.Select):
        return query
    own = inside(query)
    conditions: list[sql.Expr] = []
    for c in sql.conjuncts(query.where):
        if columns(c) <= own:
            conditions.append(c)
        elif isinstance(subquery, sql.Scalar) and isinstance(c, sql.Op) and c.symbol == "=":
            sides = [side for side in (c.left, c.right) if isinstance(side, sql.Col) and side.table in own]
            conditions += [sql.Not(sql.IsNull(side)) for side in sides]
    return replace(query, where=conjunction(conditions))


def conjunction(conditions: Iterable[sql.Expr]) -> sql.Expr | None:
    """All of them; None for none."""
    every = list(conditions)
    return reduce(lambda a, b: sql.Op("AND", a, b), every) if every else None


def of_one_table(source: sql.Source) -> bool:
    """Its rows are those of a table, without a join, a group or a number: reading them twice is cheap."""
    if not isinstance(source, sql.Sub):
        return isinstance(source, sql.Table)
    q = source.query
    if not isinstance(q, sql.Select) or q.group is not None or q.distinct or q.limit is not None:
        return False
    return of_one_table(q.source) and not any(isinstance(e, sql.RowNumber) for e, _ in q.items)


def inside(query: sql.Select) -> set[str]:
    return {n.alias for n in sql.nodes(query.source) if isinstance(n, sql.Table | sql.Sub)}


def columns(e: sql.Expr) -> set[str]:
    """The tables whose columns an expression reads."""
    return {n.table for n in sql.nodes(e) if isinstance(n, sql.Col)}
