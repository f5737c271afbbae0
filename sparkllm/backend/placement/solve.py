"""Which program answers which question."""

from __future__ import annotations

import numpy as np

from sparkllm.backend.placement.cheapest import cheapest
from sparkllm.backend.placement.earliest import earliest
from sparkllm.backend.placement.problem import Problem, Split
from sparkllm.backend.placement.search import soonest
from sparkllm.backend.placement.terms import TIME, Terms

__all__ = ["solve"]


def solve(problem: Problem, terms: Terms, cluster: np.ndarray | None = None) -> Split | None:
    """The placement that keeps to the terms; None where there is none.

    Args:
        cluster: int64 [g], replicas that are there: no others are taken, and the split that is done first is wanted.
    """
    if len(problem.homeless):
        return None
    budget = np.inf if terms.budget is None else terms.budget
    if cluster is not None:
        found = earliest(problem, cluster, budget)
        return found if found and (terms.hours is None or found.hours <= terms.hours * (1 + 1e-6)) else None
    if terms.objective == TIME:
        return soonest(problem, budget, np.inf if terms.hours is None else terms.hours)
    found = cheapest(problem, terms.hours or problem.horizon, terms.billing)
    return found if found and found.usd <= budget * (1 + 1e-9) else None
