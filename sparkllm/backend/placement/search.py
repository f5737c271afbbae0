"""The shortest deadline that can be met, within a budget and the GPUs there are."""

from __future__ import annotations

import numpy as np

from sparkllm.backend.placement.cheapest import cheapest
from sparkllm.backend.placement.problem import RELEASED, Problem, Split

__all__ = ["soonest"]

_PRECISION = 1e-3  # relative


def soonest(problem: Problem, budget: float = np.inf, before: float = np.inf) -> Split | None:
    """The placement that is done first for at most `budget`, to a thousandth; None where none is, or not by `before`.

    Bisection over the deadline: a later deadline allows every placement of an earlier one, so the least cost
    (replicas released when they are done) never rises with it. Each placement found moves the upper end down to its
    own time.

    Args:
        budget: US dollars.
        before: hours.
    """
    best = _within(problem, min(before, problem.horizon), budget)
    if best is None:
        return None
    low, high = float(problem.start.min(initial=np.inf)), best.hours
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        found = _within(problem, middle, budget)
        if found is None:
            low = middle
        else:
            best, high = found, min(found.hours, middle)
    return best


def _within(problem: Problem, deadline: float, budget: float) -> Split | None:
    found = cheapest(problem, deadline, RELEASED)
    return found if found is not None and found.usd <= budget * (1 + 1e-9) else None
