"""The report's lines about a query's budget."""

from __future__ import annotations

from sparkllm.backend.control.query import BudgetUse

__all__ = ["budget_lines"]


def budget_lines(budget: BudgetUse) -> list[tuple[str, str]]:
    """What of each limit is used, and which one ended the query.

    >>> budget_lines(BudgetUse({"calls": 90, "cost": 0.5}, {"calls": 1000, "cost": 2.0}))
    [('budget', '90 of 1,000 calls, 0.5 of 2.00 cost')]
    """
    parts = [f"{_number(budget.used[name])} of {_number(limit)} {name}" for name, limit in budget.limits.items()]
    ended = [("  ended the query", budget.ended)] if budget.ended else []
    return [("budget", ", ".join(parts)), *ended]


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"
