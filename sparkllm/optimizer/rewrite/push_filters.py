"""Conditions that read no answer go into the derived table below them, where they stand before its calls.

Spark moves no condition past a function that is not deterministic.
"""

from __future__ import annotations

from sqlglot import exp

from sparkllm.optimizer.rewrite.asked import calls_in, own_nodes
from sparkllm.optimizer.rewrite.groups import is_grouped

__all__ = ["outputs", "push_filters", "single_source"]

_STAYS = ("distinct", "limit", "offset", "having", "qualify", "sort", "cluster", "distribute", "windows")


def push_filters(select: exp.Select) -> None:
    """`SELECT * FROM (SELECT id, llm(x) AS c FROM t) WHERE c = 'a' AND id > 3`: `id > 3` goes inside."""
    inner, where = single_source(select), select.args.get("where")
    if inner is None or where is None or not _open(inner):
        return
    alias = select.args["from_"].this.alias
    columns = outputs(inner)
    left = []
    for conjunct in list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]:
        moved = _inside(conjunct, alias, columns)
        if moved is None:
            left.append(conjunct.copy())
        else:
            inner.where(moved, copy=False)
    select.set("where", exp.Where(this=exp.and_(*left)) if left else None)


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
    if calls_in(e) or e.find(exp.Query, exp.Rand, exp.Uuid):
        return None
    holder = exp.Tuple(expressions=[e.copy()])
    for column in list(holder.find_all(exp.Column)):
        parts = column.parts[1:] if alias and column.parts[0].name.lower() == alias.lower() else column.parts
        name = parts[0].name.lower()
        value = columns.get(name, columns.get("*"))
        if len(parts) != 1 or value is None or calls_in(value) or value.find(exp.Rand, exp.Uuid, exp.Query):
            return None
        if isinstance(value, exp.Star):
            value = exp.column(parts[0].copy())
        column.replace(value.copy() if isinstance(value, exp.Column | exp.Literal) else exp.paren(value.copy()))
    return holder.expressions[0]
