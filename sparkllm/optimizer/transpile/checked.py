"""Whether a call that was turned can run: the same look at its arguments as when the query is planned."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.errors import CallError, TranspileError
from sparkllm.optimizer.rewrite.arguments import read_call
from sparkllm.optimizer.rewrite.asked import called, is_call, name_of

__all__ = ["check", "check_place"]

_AROUND = {
    exp.Window: "is no window function here: aggregate in a subquery and join",
    exp.Filter: "takes no FILTER: put a CASE WHEN ... END inside",
    exp.WithinGroup: "takes no WITHIN GROUP",
}


def check_place(node: exp.Expr, arguments: list[exp.Expr]) -> None:
    """Refuse what stands around a call or in front of its arguments.

    Raises:
        TranspileError: OVER, FILTER, DISTINCT and the like.
    """
    for around, reason in _AROUND.items():
        if isinstance(node.parent, around) and node.parent.this is node:
            raise TranspileError(reason)
    if any(isinstance(argument, exp.Distinct) for argument in arguments):
        raise TranspileError("takes no DISTINCT: take distinct rows in a subquery")


def check(answer: exp.Expr) -> None:
    """Refuse a call that the planner would refuse.

    >>> from sqlglot import parse_one
    >>> check(parse_one("llm_translate(a, 'French')", read="spark"))

    Raises:
        TranspileError: its arguments are none of the function's, or it reads a file.
    """
    for node in answer.walk():
        if name_of(node) == "to_file":
            raise TranspileError("files are not read, only text")
        if is_call(node):
            _read(node.copy())


def _read(node: exp.Expr) -> None:
    for argument in node.expressions:
        if not isinstance(argument, exp.Kwarg | exp.Column | exp.Dot):
            called(argument, "value")  # the planner gives it a name by its place
    try:
        read_call(node, lambda star: [])
    except CallError as error:
        raise TranspileError(str(error.__cause__ or error)) from error  # without the call: it stands beside the reason
