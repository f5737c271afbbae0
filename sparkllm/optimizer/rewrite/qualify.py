"""QUALIFY: its windows are columns of a query below, and its condition is a WHERE above, which any Spark has.

`SELECT id, llm('x', a) AS c FROM t QUALIFY rank() OVER (ORDER BY id) = 1`
-> `SELECT * EXCEPT (w) FROM (SELECT id, llm('x', a) AS c, rank() OVER (ORDER BY id) AS w FROM t) WHERE w = 1`
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from sparkllm.optimizer.rewrite.aggregates import is_aggregate
from sparkllm.optimizer.rewrite.asked import called, calls_in, lower_names, own_nodes, text_of
from sparkllm.optimizer.rewrite.group_names import name_placeholders
from sparkllm.optimizer.rewrite.rows import Names

__all__ = ["split_qualify"]

_ABOVE = ("order", "limit", "offset", "distinct", "with_")


def split_qualify(select: exp.Select, names: Names, columns: Callable[[], frozenset[str]]) -> exp.Select:
    """The same rows from a query over another.

    Args:
        columns: names of the tables' columns, which a window knows before those of the SELECT list.
    """
    return _Below(select, names, columns).split()


class _Below:
    """The query below, to which columns are added."""

    def __init__(self, select: exp.Select, names: Names, columns: Callable[[], frozenset[str]]) -> None:
        self._select, self._names, self._columns = select, names, columns
        self._named = {e.alias.lower(): e.this for e in select.expressions if isinstance(e, exp.Alias)}
        self._shown = {e.alias_or_name.lower() for e in select.expressions if not e.is_star}
        self._added: dict[str, tuple[str, exp.Expr]] = {}

    def split(self) -> exp.Select:
        holder = exp.Tuple(expressions=[self._select.args["qualify"].this.copy()])
        self._lift(holder)
        outer = exp.Select(expressions=[exp.Star()])
        for key in _ABOVE:
            if self._select.args.get(key):
                outer.set(key, self._select.args[key])
        self._lift_order(outer)
        outer.where(holder.expressions[0], copy=False)
        below = exp.Select(**{k: v for k, v in self._select.args.items() if v and k not in (*_ABOVE, "qualify")})
        for name, e in self._added.values():
            below.append("expressions", exp.alias_(e, name))
        if self._added:
            hidden = [exp.to_identifier(name) for name, _ in self._added.values()]
            outer.set("expressions", [exp.Star(except_=hidden)])
        outer.set("from_", exp.From(this=below.subquery("__llm_windows")))
        return outer

    def _lift(self, holder: exp.Expr) -> None:
        """Columns of the query below in place of windows, aggregates and what the SELECT list does not have."""
        for node in list(holder.walk(prune=lambda n: isinstance(n, exp.Query) or _is_whole(n))):
            if _is_whole(node):
                node.replace(self._column(self._resolved(node)))
        for call in calls_in(holder):
            name_placeholders(call, lambda column: True)
        for column in [c for c in own_nodes(holder) if isinstance(c, exp.Column)]:
            added = column.name in [name for name, _ in self._added.values()]
            if not added and not (len(column.parts) == 1 and column.name.lower() in self._named):
                column.replace(called(self._column(column.copy()), column.name))

    def _lift_order(self, outer: exp.Select) -> None:
        for key in outer.args["order"].expressions if outer.args.get("order") else ():
            value = key.this
            shown = isinstance(value, exp.Column) and len(value.parts) == 1 and value.name.lower() in self._shown
            if not shown and not isinstance(value, exp.Literal | exp.Var):
                key.set("this", self._column(self._resolved(value)))

    def _column(self, e: exp.Expr) -> exp.Column:
        key = text_of(lower_names(e))
        if key not in self._added:
            self._added[key] = (self._names.fresh("q"), e)
        return exp.column(self._added[key][0])

    def _resolved(self, e: exp.Expr) -> exp.Expr:
        """A copy with expressions in place of the SELECT list's names."""
        holder = exp.Tuple(expressions=[e.copy()])
        read = [c for c in own_nodes(holder) if isinstance(c, exp.Column) and len(c.parts) == 1]
        known = [c for c in read if c.name.lower() in self._named]
        there = self._columns() if known else frozenset()
        for column in known:
            if column.name.lower() not in there:
                column.replace(exp.paren(self._named[column.name.lower()].copy()))
        return holder.expressions[0]


def _is_whole(node: exp.Expr) -> bool:
    return isinstance(node, exp.Window) or is_aggregate(node)
