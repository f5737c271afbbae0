"""Places in a statement where no call can be evaluated, found before anything is rewritten."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.asked import calls_in, is_call, written

__all__ = ["check_places"]


def check_places(tree: exp.Expr) -> None:
    """Raise for the first of them.

    Raises:
        CallError: it says what to write instead.
    """
    for call in [node for node in tree.walk() if is_call(node)]:
        for around in _up(call):
            if reason := _reason(call, around):
                raise CallError(f"{written(call)} is {reason}")
        _check_as_aggregate(call)


def _check_as_aggregate(call: exp.Expr) -> None:
    """What only aggregates take; those over answers have been replaced by now."""
    around = call.parent
    if isinstance(around, exp.Window | exp.Filter) and around.this is call:
        what = "OVER" if isinstance(around, exp.Window) else "FILTER"
        raise CallError(f"{written(call)} is asked about each row and takes no {what}; leave it out")
    if any(isinstance(given, exp.Distinct) for given in call.expressions):
        raise CallError(f"{written(call)} is asked about each row and takes no DISTINCT; write SELECT DISTINCT")


def _up(node: exp.Expr) -> list[exp.Expr]:
    out = []
    while node.parent is not None:
        node = node.parent
        out.append(node)
    return out


def _reason(call: exp.Expr, around: exp.Expr) -> str:
    own = any(c is call for c in calls_in(around))
    if isinstance(around, exp.Lambda) and own:
        return "inside a lambda function, where no call can be evaluated; explode the array and call it on each row"
    if isinstance(around, exp.Lateral) and own:
        return "in a LATERAL VIEW; compute it in a subquery and explode its column"
    if isinstance(around, exp.Join) and own and not isinstance(around.parent, exp.Select):
        return "in the condition of a JOIN in parentheses; compute it in a subquery and join that"
    if isinstance(around, exp.AggFunc) and not own:
        return "in a subquery inside an aggregate's argument; compute it in the FROM"
    return ""
