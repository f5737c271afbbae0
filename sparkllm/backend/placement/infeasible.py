"""Why there is no placement, and how near the limits one would be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparkllm.backend.placement.cheapest import cheapest
from sparkllm.backend.placement.duration import duration
from sparkllm.backend.placement.earliest import earliest
from sparkllm.backend.placement.problem import Problem
from sparkllm.backend.placement.search import soonest
from sparkllm.backend.placement.terms import Terms
from sparkllm.backend.placement.workload import Bucket

__all__ = ["Infeasible", "why"]


@dataclass(frozen=True)
class Infeasible:
    """No placement keeps to the terms.

    Attributes:
        constraint: which of them binds: `memory` (a row fits nowhere), `available` (more GPUs would do), `deadline`, or
            `budget`.
        message: the same in words, with what would do.
        nearest_deadline: seconds; the shortest that the rest of the terms allow. None where no deadline helps.
        nearest_budget: US dollars; the least that the rest of the terms allow. None where no budget helps.
        buckets: those that fit nowhere.
    """

    constraint: str
    message: str
    nearest_deadline: float | None = None
    nearest_budget: float | None = None
    buckets: tuple[Bucket, ...] = ()

    feasible = False

    def explain(self) -> str:
        """The message."""
        return f"No placement: {self.message}"


def why(problem: Problem, terms: Terms, buckets: tuple[Bucket, ...], cluster: np.ndarray | None = None) -> Infeasible:
    """What binds in a problem that `solve` found no placement for."""
    if len(problem.homeless):
        return _homeless(problem, tuple(buckets[b] for b in problem.homeless))
    budget = np.inf if terms.budget is None else terms.budget
    if cluster is not None:
        fastest, affordable = earliest(problem, cluster), earliest(problem, cluster, budget)
    else:
        fastest = soonest(problem)
        affordable = fastest if terms.budget is None else soonest(problem, budget)
    nearest = None if affordable is None or terms.hours is None else 3600 * affordable.hours
    if terms.hours is not None and (fastest is None or fastest.hours > terms.hours):
        return _late(problem, terms, nearest, cluster is not None)
    least = cheapest(problem, terms.hours or problem.horizon, terms.billing)
    usd = None if least is None else least.usd
    text = f"the budget of ${terms.budget:,.2f} is too small; the least is ${usd:,.2f}" if usd else "the budget"
    if nearest is not None:
        text += f", or with this budget a deadline of {duration(nearest)}"
    return Infeasible("budget", text, nearest, usd)


def _homeless(problem: Problem, buckets: tuple[Bucket, ...]) -> Infeasible:
    rows, first = sum(bucket.rows for bucket in buckets), max(buckets, key=lambda b: b.input_tokens + b.output_tokens)
    what = f"{rows:,.0f} rows, the longest of {first},"
    if np.isfinite(problem.work[problem.homeless]).any(axis=1).all():
        return Infeasible("available", f"{what} need more GPUs in one replica than are available", buckets=buckets)
    return Infeasible("memory", f"{what} fit on none of the GPUs together with the model", buckets=buckets)


def _late(problem: Problem, terms: Terms, nearest: float | None, fixed: bool) -> Infeasible:
    assert terms.hours is not None
    with_more = None
    if fixed or np.isfinite(problem.available).any():
        unlimited = replace(problem, available=np.full_like(problem.available, np.inf))
        with_more = cheapest(unlimited, terms.hours)
    text = f"the deadline of {duration(3600 * terms.hours)} cannot be met"
    text += " with these GPUs" if with_more else ""
    if nearest is not None:
        text += f"; the shortest is {duration(nearest)}"
        text += "" if terms.budget is None else f" for ${terms.budget:,.2f}"
    if with_more:
        text += f"; with more of them it would cost ${with_more.usd:,.2f}"
    return Infeasible("available" if with_more else "deadline", text, nearest)
