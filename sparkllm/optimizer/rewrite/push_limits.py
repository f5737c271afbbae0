"""LIMIT and top-k that no answer decides go below the calls: only the rows that are left are asked about."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.optimizer.rewrite.aggregates import is_generator
from sparkllm.optimizer.rewrite.asked import calls_in, own_nodes
from sparkllm.optimizer.rewrite.groups import is_grouped

__all__ = ["pushable", "resolved_order", "stops_early", "tail"]


def pushable(select: exp.Select, asking: list[exp.Expr]) -> bool:
    """`SELECT llm(...) FROM t ORDER BY id LIMIT 3`: neither conditions nor the order read an answer."""
    if not select.args.get("limit") or asking or is_grouped(select) or select.args.get("distinct"):
        return False
    if any(isinstance(n, exp.Window) or is_generator(n) for e in select.expressions for n in own_nodes(e)):
        return False
    order = resolved_order(select)
    return order is not None and not any(calls_in(e) for e in order)


def stops_early(select: exp.Select) -> bool:
    """A LIMIT that is met by the first rows: bringing rows together would read them all."""
    return bool(select.args.get("limit")) and not (
        select.args.get("order") or is_grouped(select) or select.args.get("distinct")
    )


def tail(select: exp.Select) -> dict[str, exp.Expr]:
    """ORDER BY, LIMIT and OFFSET of the rows themselves."""
    out = {key: select.args[key] for key in ("limit", "offset") if select.args.get(key)}
    order = resolved_order(select)
    if order:
        out["order"] = exp.Order(expressions=[e.copy() for e in order])
    return out


def resolved_order(select: exp.Select) -> list[exp.Expr] | None:
    """The keys of ORDER BY with expressions in place of the SELECT list's names and numbers; None: it has a star."""
    order = select.args.get("order")
    if order is None:
        return []
    named = {e.alias.lower(): e.this for e in select.expressions if isinstance(e, exp.Alias)}
    if _is_all(order) and any(e.is_star for e in select.expressions):
        return None
    out = []
    for key in _spelled_out(order, select):
        copy, value = key.copy(), key.this
        if isinstance(value, exp.Literal) and not value.is_string:
            at = int(value.this) - 1
            if any(e.is_star for e in select.expressions) or at >= len(select.expressions):
                return None
            copy.set("this", select.expressions[at].unalias().copy())
        else:
            holder = exp.Tuple(expressions=[value.copy()])
            for column in [c for c in own_nodes(holder) if isinstance(c, exp.Column) and len(c.parts) == 1]:
                if column.name.lower() in named:
                    column.replace(named[column.name.lower()].copy())
            copy.set("this", holder.expressions[0])
        out.append(copy)
    return out


def _is_all(order: exp.Order) -> bool:
    """ORDER BY ALL."""
    key = order.expressions[0].this
    return isinstance(key, exp.Var) and key.name.upper() == "ALL"


def _spelled_out(order: exp.Order, select: exp.Select) -> list[exp.Expr]:
    if not _is_all(order):
        return list(order.expressions)
    keys = [order.expressions[0].copy() for _ in select.expressions]
    for key, e in zip(keys, select.expressions, strict=True):
        key.set("this", e.unalias().copy())
    return keys
