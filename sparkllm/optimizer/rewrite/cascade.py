"""Of several calls, the one comes first whose conditions drop rows at the least cost.

By ascending cost / (1 - share of rows kept), the best order of filters that know nothing of each other (Hellerstein and
Stonebraker, Predicate Migration, 1993): what OrderCascade.scala does, with the same costs where the lengths of columns
are not known (CallCost.scala), and the same guesses (Selectivity.scala).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import ceil

from sqlglot import exp

from sparkllm.optimizer.rewrite.asked import Asked

__all__ = ["cost", "order", "share"]

_CHARACTERS_PER_TOKEN, _TEXT, _NUMBER = 4.0, 200.0, 8.0
_SHARED_TOKEN, _OUTPUT_TOKEN = 0.1, 10.0
_UNKNOWN, _MATCHED, _ANSWERED = 0.5, 0.25, 0.95
_LONG = ("string", "binary", "array", "map", "struct", "variant")

Needs = Mapping[str, frozenset[str]]


def cost(asked: Asked, types: Sequence[str], max_tokens: int) -> float:
    """Prompt tokens of one row, of which none is cached; `types` are those of its fields."""
    call = asked.typed.call
    data = sum(_TEXT if kind.startswith(_LONG) else _NUMBER for kind in types) / _CHARACTERS_PER_TOKEN
    told = len(call.instruction) / _CHARACTERS_PER_TOKEN * _SHARED_TOKEN
    return max(1.0, told + data + _OUTPUT_TOKEN * _output_tokens(asked, max_tokens))


def share(condition: exp.Expr, answers: Mapping[str, Asked]) -> float:
    """Share of rows that a condition over answers keeps: the user's hint, or a guess from its form."""
    read = {c.name for c in condition.find_all(exp.Column) if c.name in answers}
    hints = [answers[name].typed.selectivity for name in read]
    if len(hints) == 1 and hints[0] is not None:
        return hints[0]
    return _guess(condition, answers)


def order(
    conditions: Sequence[exp.Expr],
    needs: Needs,
    costs: Mapping[str, float],
    answers: Mapping[str, Asked],
) -> list[exp.Expr]:
    """The conditions in the order in which they are to be asked; `needs`: every answer that an answer takes."""
    left, there, out = list(conditions), set[str](), list[exp.Expr]()

    def missing(condition: exp.Expr) -> set[str]:
        read = {c.name for c in condition.find_all(exp.Column) if c.name in answers}
        return {need for name in read for need in (name, *needs[name])} - there

    def rank(condition: exp.Expr) -> float:
        kept = min(share(condition, answers), 1 - 1e-9)
        return sum(costs[name] for name in missing(condition)) / (1 - kept)

    while left:
        best = min(left, key=rank)
        there |= missing(best)
        out.append(best)
        left.remove(best)
    return out


def _output_tokens(asked: Asked, max_tokens: int) -> float:
    call = asked.typed.call
    if call.choices:
        return ceil(max(map(len, call.choices)) / _CHARACTERS_PER_TOKEN)
    written = _written(json.loads(call.schema)) if call.schema else None
    return (call.max_tokens or max_tokens) if written is None else ceil(written / _CHARACTERS_PER_TOKEN)


def _written(kind: object) -> float | None:
    """Characters of an answer without texts and lists; None with them."""
    if isinstance(kind, dict):
        each = [_written(f["type"]) for f in kind["fields"]] if kind["type"] == "struct" else [None]
        names = sum(len(f["name"]) + 6 for f in kind.get("fields", ()))
        return None if None in each else 2 + names + sum(e for e in each if e is not None)
    return None if kind == "string" else 5 if kind == "boolean" else _NUMBER


def _guess(e: exp.Expr, answers: Mapping[str, Asked]) -> float:
    if isinstance(e, exp.Paren):
        return _guess(e.this, answers)
    if isinstance(e, exp.And):
        return _guess(e.this, answers) * _guess(e.expression, answers)
    if isinstance(e, exp.Or):
        return 1 - (1 - _guess(e.this, answers)) * (1 - _guess(e.expression, answers))
    if isinstance(e, exp.Not):
        return 1 - _guess(e.this, answers)
    if isinstance(e, exp.Is):
        return 1 - _ANSWERED
    if isinstance(e, exp.NEQ):
        return 1 - _among(e.this, [e.expression], answers)
    if isinstance(e, exp.EQ):
        value, constant = (e.this, e.expression) if isinstance(e.expression, exp.Literal) else (e.expression, e.this)
        return _among(value, [constant], answers)
    if isinstance(e, exp.In) and not e.args.get("query"):
        return _among(e.this, e.expressions, answers)
    return _MATCHED if isinstance(e, exp.Like | exp.ILike | exp.RegexpLike) else _UNKNOWN


def _among(value: exp.Expr, constants: Sequence[exp.Expr], answers: Mapping[str, Asked]) -> float:
    """All labels are as likely."""
    read = {c.name for c in value.find_all(exp.Column) if c.name in answers}
    labels = answers[next(iter(read))].typed.call.choices if len(read) == 1 else ()
    named = {str(c.this) for c in constants if isinstance(c, exp.Literal)}
    return min(1.0, len(named) / len(labels)) if labels else _UNKNOWN
