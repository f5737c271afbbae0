"""Calls over the groups of an aggregate, or over windows: those come first, in a query below.

`SELECT llm_gen(max(x)) FROM t GROUP BY g` -> `SELECT llm_gen(a) FROM (SELECT max(x) AS a FROM t GROUP BY g)`.
Calls in GROUP BY and in arguments of aggregates stay with the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.aggregates import aggregates, is_aggregate
from sparkllm.optimizer.rewrite.asked import CALLED, called, calls_in, lower_names, own_nodes, shown, text_of, written
from sparkllm.optimizer.rewrite.group_names import SETS, Keys, name_placeholders
from sparkllm.optimizer.rewrite.guards import guard_of
from sparkllm.optimizer.rewrite.rows import Names

__all__ = ["is_grouped", "split_groups", "split_windows"]

_OUTER = ("order", "limit", "offset", "distinct", "sort", "cluster", "distribute", "with_")


def is_grouped(select: exp.Select) -> bool:
    """It has GROUP BY or aggregates."""
    return bool(select.args.get("group")) or any(next(aggregates(e), None) is not None for e in _parts(select))


def split_groups(select: exp.Select, names: Names, sources: Sequence[str]) -> exp.Select:
    """The same query with its groups in a derived table; as it is where no call needs them.

    Args:
        sources: names of its tables.

    Raises:
        CallError: a call over the groups of ROLLUP, CUBE or GROUPING SETS.
    """
    if not is_grouped(select):
        return select
    keys = Keys(select, sources)
    _take_from_below(select, keys)
    above = [c for e in _parts(select) for c in calls_in(e) if not _below(c, keys)]
    if not above:
        return select
    group = select.args.get("group")
    if group is not None and (any(v for k, v in group.args.items() if k != "expressions") or group.find(*SETS)):
        raise CallError(f"{written(above[0])} is over the groups of ROLLUP, CUBE or GROUPING SETS; group in a subquery")
    for call in above:
        name_placeholders(call, keys.has)
    return _split(select, keys, names)


def _split(select: exp.Select, keys: Keys, names: Names) -> exp.Select:
    made: dict[str, tuple[str, exp.Expr]] = {}
    named = {e.alias.lower() for e in select.expressions if isinstance(e, exp.Alias)}

    def over(e: exp.Expr) -> exp.Expr:
        return _replaced(e.copy(), lambda node: keys.has(node) or is_aggregate(node), made, names, "g")

    def in_order(e: exp.Expr) -> exp.Expr:  # which names columns of the SELECT list before any others
        wanted = lambda node: not _is_one_of(node, named) and (keys.has(node) or is_aggregate(node))  # noqa: E731
        return _replaced(e.copy(), wanted, made, names, "g")

    outer = exp.Select(expressions=[_with_name(e, over(e)) for e in select.expressions])
    _take(outer, select, in_order)
    if select.args.get("having"):
        outer.where(over(select.args["having"].this), copy=False)
    below = exp.Select(expressions=[exp.alias_(e.copy(), name) for name, e in made.values()] or [exp.Literal.number(1)])
    for key in ("from_", "joins", "laterals", "where", "hint", "group"):
        if select.args.get(key):
            below.set(key, select.args[key])
    outer.set("from_", exp.From(this=below.subquery("__llm_groups")))
    return outer


def _parts(select: exp.Select) -> list[exp.Expr]:
    """What may be over groups."""
    return [*select.expressions, *(select.args[key] for key in ("having", "order") if select.args.get(key))]


def _is_one_of(node: exp.Expr, named: set[str]) -> bool:
    return isinstance(node, exp.Column) and len(node.parts) == 1 and node.name.lower() in named


def _take_from_below(select: exp.Select, keys: Keys) -> None:
    """A call over keys that an aggregate's argument asks for all rows is known for their groups."""
    calls = [(c, e) for e in _parts(select) for c in calls_in(e)]
    asked = {text_of(c) for c, e in calls if _below(c, keys) and not keys.has(c) and guard_of(c, e) is None}
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
        name = node.meta.get(CALLED, node.name if isinstance(node, exp.Column) else "")
        column = called(exp.column(made[key][0]), name)
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
    name = before.name if isinstance(before, exp.Column | exp.Dot) else shown(before)
    return exp.alias_(after, name, quoted=True)


def _below(call: exp.Expr, keys: Keys) -> bool:
    """In an aggregate's argument, or a key itself."""
    node: exp.Expr | None = call
    while node is not None and not isinstance(node, exp.Select):
        if keys.has(node) or (node is not call and is_aggregate(node)):
            return True
        node = node.parent
    return False
