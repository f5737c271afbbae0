"""The rows for which an expression reads an answer: `CASE WHEN id < 3 THEN llm(...) END` asks for three ids alone."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.optimizer.rewrite.asked import is_random, text_of
from sparkllm.optimizer.rewrite.rows import ANSWER

__all__ = ["either", "guard_of"]


def guard_of(node: exp.Expr, root: exp.Expr) -> exp.Expr | None:
    """What holds where `node`, a part of `root`, is read; None where it always is.

    >>> from sqlglot import parse_one
    >>> tree = parse_one("CASE WHEN a THEN 1 WHEN b > 2 THEN x END")
    >>> text_of(guard_of(next(c for c in tree.find_all(exp.Column) if c.name == "x"), tree))
    'NOT COALESCE(a, FALSE) AND COALESCE(b > 2, FALSE)'
    """
    conditions: list[exp.Expr] = []
    while node is not root:
        parent = node.parent
        if parent is None:
            break
        conditions = [*_between(parent, node), *conditions]
        node = parent
    if not conditions or any(map(is_random, conditions)):
        return None
    return exp.and_(*conditions, copy=True)


def either(guards: list[exp.Expr | None]) -> exp.Expr | None:
    """Where any of them holds."""
    some = {text_of(g): g for g in guards if g is not None}
    return None if None in guards or not some else exp.or_(*some.values(), copy=True)


def _between(parent: exp.Expr, node: exp.Expr) -> list[exp.Expr]:
    if isinstance(parent, exp.Case):
        return _before_branch(parent, node)
    if isinstance(parent, exp.If):
        if node is parent.this:
            return []
        operand = parent.parent.this if isinstance(parent.parent, exp.Case) else None
        holds = _true(exp.EQ(this=operand.copy(), expression=parent.this.copy()) if operand else parent.this)
        return [holds if node is parent.args.get("true") else _not(holds)]
    if isinstance(parent, exp.Coalesce) and node is not parent.this:
        earlier = [parent.this, *parent.expressions[: parent.expressions.index(node)]]
        return [exp.Is(this=exp.paren(e.copy()), expression=exp.null()) for e in earlier]
    if isinstance(parent, exp.And | exp.Or):
        other = parent.this if node is parent.expression else parent.expression
        if node is parent.this and _reads_answers(other):
            return []  # of two that ask, the first does not wait for the second
        return [exp.func("COALESCE", other.copy(), exp.true()) if isinstance(parent, exp.And) else _not(_true(other))]
    return []


def _reads_answers(e: exp.Expr) -> bool:
    return any(column.name.startswith(ANSWER) for column in e.find_all(exp.Column))


def _before_branch(case: exp.Case, node: exp.Expr) -> list[exp.Expr]:
    """None of the branches before this one, or before ELSE, has held."""
    branches = list(case.args.get("ifs") or [])
    if node is case.this:
        return []
    at = branches.index(node) if node in branches else len(branches)
    at = next((i for i, branch in enumerate(branches) if branch is node), at)
    conditions = [b.this for b in branches[:at]]
    if case.this is not None:
        conditions = [exp.EQ(this=case.this.copy(), expression=c.copy()) for c in conditions]
    return [_not(_true(c)) for c in conditions]


def _true(e: exp.Expr) -> exp.Expr:
    return exp.func("COALESCE", e.copy(), exp.false())


def _not(e: exp.Expr) -> exp.Expr:
    return exp.Not(this=e.copy())
