"""Calls over the groups of an aggregate, or over windows: those come first, in a query below.

`SELECT llm_gen(max(x)) FROM t GROUP BY g` -> `SELECT llm_gen(a) FROM (SELECT max(x) AS a FROM t GROUP BY g)`.
Calls in GROUP BY and in arguments of aggregates stay with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.asked import called, calls_in, lower_names, own_nodes, text_of, written
from sparkllm.optimizer.rewrite.guards import guard_of
from sparkllm.optimizer.rewrite.rows import Names

__all__ = ["is_grouped", "resolve_names", "split_groups", "split_windows"]

_SETS = (exp.Rollup, exp.Cube, exp.GroupingSets)
_OUTER = ("order", "limit", "offset", "distinct", "sort", "cluster", "distribute", "with_")


def is_grouped(select: exp.Select) -> bool:
    """It has GROUP BY or aggregates."""
    parts = [*select.expressions, select.args.get("having"), select.args.get("order")]
    return bool(select.args.get("group")) or any(next(_aggregates(e), None) is not None for e in parts if e is not None)


def split_groups(select: exp.Select, names: Names) -> exp.Select:
    """The same query with its groups in a derived table; as it is where no call needs them.

    Raises:
        CallError: a call over the groups of ROLLUP, CUBE or GROUPING SETS.
    """
    if not is_grouped(select):
        return select
    group = select.args.get("group")
    keys = _keys(group) if group is not None else []
    _take_from_below(select, keys)
    parts = [*select.expressions, *(select.args[k] for k in ("having", "order") if select.args.get(k))]
    above = [c for e in parts for c in calls_in(e) if not _below(c, keys)]
    if not above:
        return select
    others = group is not None and any(value for key, value in group.args.items() if key != "expressions")
    if others or any(isinstance(e, _SETS) for e in (group.expressions if group is not None else ())):
        raise CallError(
            f"{written(above[0])} is over the groups of ROLLUP, CUBE, GROUPING SETS or ALL; group in a subquery"
        )
    made: dict[str, tuple[str, exp.Expr]] = {}

    def over(e: exp.Expr) -> exp.Expr:
        return _replaced(e.copy(), lambda node: _same(node, keys) or _is_aggregate(node), made, names, "g")

    outer = exp.Select(expressions=[_with_name(e, over(e)) for e in select.expressions])
    _take(outer, select, over)
    if select.args.get("having"):
        outer.where(over(select.args["having"].this), copy=False)
    below = exp.Select(expressions=[exp.alias_(e.copy(), name) for name, e in made.values()] or [exp.Literal.number(1)])
    for key in ("from_", "joins", "laterals", "where", "hint", "group"):
        if select.args.get(key):
            below.set(key, select.args[key])
    outer.set("from_", exp.From(this=below.subquery("__llm_groups")))
    return outer


def resolve_names(select: exp.Select, columns: Callable[[], frozenset[str]]) -> None:
    """`GROUP BY 1` and `GROUP BY c` where that column of the SELECT list has a call; in HAVING, too.

    Args:
        columns: names of the tables' columns, which come before those of the SELECT list.
    """
    asking = {e.alias.lower(): e.this for e in select.expressions if isinstance(e, exp.Alias) and calls_in(e)}
    group, having = select.args.get("group"), select.args.get("having")
    for key in list(group.expressions) if group is not None else []:
        if isinstance(key, exp.Literal) and not key.is_string and int(key.this) <= len(select.expressions):
            key.replace(select.expressions[int(key.this) - 1].unalias().copy())
    read = [c for part in (group, having) if part is not None for c in own_nodes(part) if isinstance(c, exp.Column)]
    known = [c for c in read if len(c.parts) == 1 and c.name.lower() in asking]
    there = columns() if known else frozenset()
    for column in known:
        if column.name.lower() not in there:
            column.replace(asking[column.name.lower()].copy())


def _keys(group: exp.Group) -> list[exp.Expr]:
    """Those of ROLLUP, CUBE and GROUPING SETS too."""
    flat = [inner for e in group.expressions for inner in (e.expressions if isinstance(e, _SETS) else [e])]
    return [key for e in flat for key in (e.expressions if isinstance(e, exp.Tuple) else [e.unnest()])]


def _take_from_below(select: exp.Select, keys: list[exp.Expr]) -> None:
    """A call over keys that an aggregate's argument asks for all rows is known for their groups."""
    parts = [*select.expressions, *(select.args[k] for k in ("having", "order") if select.args.get(k))]
    calls = [(c, e) for e in parts for c in calls_in(e)]
    asked = {text_of(c) for c, e in calls if _below(c, keys) and not _same(c, keys) and guard_of(c, e) is None}
    for call, _ in calls:
        if not _below(call, keys) and text_of(call) in asked:
            call.replace(exp.AnyValue(this=call.copy()))


def split_windows(select: exp.Select, names: Names, everything: bool = False) -> exp.Select:
    """Windows that a call reads, or `everything`, in a derived table below; as it is where there are none."""
    calls = [c for e in select.expressions for c in calls_in(e)]
    if not any(isinstance(w, exp.Window) for e in (select.expressions if everything else calls) for w in own_nodes(e)):
        return select
    if len(list(select.find_all(exp.Join, exp.Lateral))) > 0 or select.args.get("windows"):
        raise CallError(f"{written(calls[0])} is over a window of joined tables; compute the window in a subquery")
    made: dict[str, tuple[str, exp.Expr]] = {}
    columns = [
        _with_name(e, _replaced(e.copy(), lambda node: isinstance(node, exp.Window), made, names, "w"))
        for e in select.expressions
    ]
    outer = exp.Select(expressions=columns)
    _take(outer, select, lambda e: e.copy())
    below = exp.Select(expressions=[exp.Star(), *(exp.alias_(e.copy(), name) for name, e in made.values())])
    for key in ("from_", "where", "hint"):
        if select.args.get(key):
            below.set(key, select.args[key])
    source = select.args["from_"].this.alias_or_name
    for e in outer.expressions:
        if isinstance(e, exp.Star):
            e.set("except_", [*(e.args.get("except_") or []), *(exp.to_identifier(n) for n, _ in made.values())])
    outer.set("from_", exp.From(this=below.subquery(source or "__llm_windows")))
    return outer


def _take(outer: exp.Select, select: exp.Select, over: object) -> None:
    for key in _OUTER:
        value = select.args.get(key)
        if value:
            outer.set(key, over(value) if isinstance(value, exp.Expr) and key != "with_" else value)  # type: ignore[operator]


def _replaced(
    e: exp.Expr,
    wanted: object,
    made: dict[str, tuple[str, exp.Expr]],
    names: Names,
    kind: str,
) -> exp.Expr:
    """`e` with columns in place of the parts that are wanted, outer ones first."""
    found = [node for node in own_nodes(e) if wanted(node)]  # type: ignore[operator]
    for node in found:
        if any(other is not node and _holds(other, node) for other in found):
            continue
        key = text_of(lower_names(node))
        if key not in made:
            made[key] = (names.fresh(kind), node.copy())
        column = called(exp.column(made[key][0]), node.name if isinstance(node, exp.Column) else "")
        if node is e:
            return column
        node.replace(column)
    return e


def _holds(outer: exp.Expr, inner: exp.Expr) -> bool:
    while inner.parent is not None:
        inner = inner.parent
        if inner is outer:
            return True
    return False


def _with_name(before: exp.Expr, after: exp.Expr) -> exp.Expr:
    """Under the name that it had."""
    if isinstance(before, exp.Alias | exp.Star):
        return after
    name = before.name if isinstance(before, exp.Column | exp.Dot) else text_of(before)
    return exp.alias_(after, name, quoted=True)


def _below(call: exp.Expr, keys: list[exp.Expr]) -> bool:
    """In an aggregate's argument, or a key itself."""
    node: exp.Expr | None = call
    while node is not None and not isinstance(node, exp.Select):
        if _same(node, keys) or (node is not call and _is_aggregate(node)):
            return True
        node = node.parent
    return False


def _same(node: exp.Expr, keys: list[exp.Expr]) -> bool:
    return any(node == key for key in keys)


def _is_aggregate(node: exp.Expr) -> bool:
    if isinstance(node, exp.Filter) and isinstance(node.this, exp.AggFunc):
        return True
    windowed = isinstance(node.parent, exp.Window | exp.Filter) and node.parent.this is node
    return isinstance(node, exp.AggFunc) and not windowed


def _aggregates(e: exp.Expr) -> Iterator[exp.Expr]:
    return (node for node in own_nodes(e) if _is_aggregate(node))
