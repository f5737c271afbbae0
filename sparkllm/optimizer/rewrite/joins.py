"""Conditions with calls of a JOIN: they are asked about the joined rows."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.asked import calls_in, conjuncts, written

__all__ = ["calls_of_joins"]

_INNER = ("", "INNER", "CROSS")
_KEEPS_RIGHT = ("RIGHT", "FULL")


def calls_of_joins(select: exp.Select) -> list[exp.Expr]:
    """`a JOIN b ON a.x = b.x AND llm(...) = 'yes'` -> `llm(...) = 'yes'`, which leaves the join.

    Raises:
        CallError: the join is no inner one, or one behind it keeps rows that the condition would drop.
    """
    joins = select.args.get("joins") or []
    out: list[exp.Expr] = []
    for i, join in enumerate(joins):
        on = join.args.get("on")
        if on is None or not calls_in(on):
            continue
        outer = next((j for j in joins[i + 1 :] if j.side.upper() in _KEEPS_RIGHT), None)
        if join.side or join.kind.upper() not in _INNER:
            outer = join
        if outer is not None:
            raise CallError(
                f"{written(calls_in(on)[0])} is in the condition of a JOIN that is, or stands before, a "
                f"{' '.join(filter(None, (outer.side, outer.kind)))} JOIN; compute it in a subquery and join that"
            )
        parts = conjuncts(on)
        out += [e for e in parts if calls_in(e)]
        left = [e.copy() for e in parts if not calls_in(e)]
        join.set("on", exp.and_(*left) if left else None)
        if not left:
            join.set("kind", "CROSS")
    return out
