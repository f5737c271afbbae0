"""Conditions that read no answer go into the derived table below them, where they stand before its calls.

Spark moves no condition past a function that is not deterministic.
"""

from __future__ import annotations

from sqlglot import exp

from sparkllm.optimizer.rewrite.aggregates import is_generator
from sparkllm.optimizer.rewrite.asked import calls_in, conjuncts, is_random, own_nodes
from sparkllm.optimizer.rewrite.groups import is_grouped, split_windows
from sparkllm.optimizer.rewrite.push_limits import resolved_order
from sparkllm.optimizer.rewrite.rows import Names

__all__ = ["outputs", "push_filters", "push_limit", "single_source"]

_DECIDES = ("where", "distinct", "having", "qualify", "sort", "cluster", "distribute", "windows")
_STAYS = ("distinct", "limit", "offset", "having", "qualify", "sort", "cluster", "distribute", "windows")


def push_filters(select: exp.Select, names: Names) -> None:
    """`SELECT * FROM (SELECT id, llm(x) AS c FROM t) WHERE c = 'a' AND id > 3`: `id > 3` goes inside.

    `WHERE rn = 1` over a window goes between the window, which comes first then, and the calls beside it.
    """
    inner, where = single_source(select), select.args.get("where")
    if inner is None or where is None:
        return
    if _windows_beside_calls(inner):
        below = split_windows(inner, names, everything=True)
        inner.replace(below)
        inner = below
    if not _open(inner):
        return
    alias = select.args["from_"].this.alias
    columns = outputs(inner)
    left = []
    for conjunct in conjuncts(where.this):
        moved = _inside(conjunct, alias, columns)
        if moved is None:
            left.append(conjunct.copy())
        else:
            inner.where(moved, copy=False)
    select.set("where", exp.Where(this=exp.and_(*left)) if left else None)


def push_limit(select: exp.Select) -> None:
    """`SELECT c FROM (SELECT id, llm(x) AS c FROM t) ORDER BY id LIMIT 3`: the three rows are chosen inside."""
    inner, limit = single_source(select), select.args.get("limit")
    if inner is None or limit is None or not _open(inner) or any(select.args.get(key) for key in _DECIDES):
        return
    if is_grouped(select) or _changes_rows(select) or _changes_rows(inner):
        return
    keys = resolved_order(select)
    if keys is None or any(calls_in(key) for key in keys):
        return
    alias, columns = select.args["from_"].this.alias, outputs(inner)
    moved = [_inside(key.this, alias, columns) for key in keys]
    if any(value is None for value in moved):
        return
    if keys:
        ordered = [key.copy() for key in keys]
        for key, value in zip(ordered, moved, strict=True):
            key.set("this", value)
        inner.set("order", exp.Order(expressions=ordered))
    inner.set("limit", limit.copy())
    if select.args.get("offset"):
        inner.set("offset", select.args["offset"].copy())
        select.set("offset", None)


def _windows_beside_calls(inner: exp.Select) -> bool:
    """Windows that read no answer, in a query over one table."""
    windows = [n for e in inner.expressions for n in own_nodes(e) if isinstance(n, exp.Window)]
    plain = not inner.args.get("joins") and not inner.args.get("laterals") and not inner.args.get("windows")
    over_calls = any(calls_in(window) for window in windows)
    asks_first = any(calls_in(part) for part in (inner.args.get("where"), inner.args.get("order")) if part is not None)
    beside = any(calls_in(e) for e in inner.expressions)
    return bool(windows) and plain and beside and not over_calls and not asks_first and not is_grouped(inner)


def _changes_rows(select: exp.Select) -> bool:
    nodes = [node for e in select.expressions for node in own_nodes(e)]
    return any(isinstance(node, exp.Window) or is_generator(node) for node in nodes)


def single_source(select: exp.Select) -> exp.Select | None:
    """The derived table that a SELECT is over, if it is over one alone."""
    from_ = select.args.get("from_")
    if from_ is None or select.args.get("joins") or select.args.get("laterals"):
        return None
    source = from_.this
    plain = isinstance(source, exp.Subquery) and not source.args.get("joins") and not source.args.get("sample")
    return source.this if plain and isinstance(source.this, exp.Select) else None


def outputs(inner: exp.Select) -> dict[str, exp.Expr | None]:
    """Name in small letters -> what it is; under `*`, all others are what they are called (see `_inside`)."""
    out: dict[str, exp.Expr | None] = {}
    for e in inner.expressions:
        if isinstance(e, exp.Star):
            out["*"] = None if e.args.get("except_") or e.args.get("replace") or e.args.get("rename") else e
        elif isinstance(e, exp.Column) and isinstance(e.this, exp.Star):
            out["*"] = None
        elif e.alias_or_name:
            name = e.alias_or_name.lower()
            out[name] = None if name in out else e.unalias()
    return out


def _open(inner: exp.Select) -> bool:
    calls = any(calls_in(e) for e in (*inner.expressions, inner.args.get("where")) if e is not None)
    windows = any(isinstance(n, exp.Window) for e in inner.expressions for n in own_nodes(e))
    return calls and not windows and not is_grouped(inner) and not any(inner.args.get(key) for key in _STAYS)


def _inside(e: exp.Expr, alias: str, columns: dict[str, exp.Expr | None]) -> exp.Expr | None:
    """`e` over the inner query's sources; None where it reads an answer, or something that is not plain."""
    if _stays(e):
        return None
    holder = exp.Tuple(expressions=[e.copy()])
    for column in list(holder.find_all(exp.Column)):
        parts = column.parts[1:] if alias and column.parts[0].name.lower() == alias.lower() else column.parts
        name = parts[0].name.lower()
        value = columns.get(name, columns.get("*"))
        if len(parts) != 1 or value is None or _stays(value):
            return None
        if isinstance(value, exp.Star):
            value = exp.column(parts[0].copy())
        column.replace(value.copy() if isinstance(value, exp.Column | exp.Literal) else exp.paren(value.copy()))
    return holder.expressions[0]


def _stays(e: exp.Expr) -> bool:
    """It cannot be written again in a WHERE below."""
    return bool(calls_in(e)) or e.find(exp.Query) is not None or is_random(e) or any(map(is_generator, e.walk()))
