"""Small random problems, and their answers by trying every number of replicas."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linprog

from sparkllm.backend.placement.problem import HELD, Problem, Split

__all__ = ["cheapest_by_trying", "check", "earliest_by_trying", "problems"]


@st.composite
def problems(draw: st.DrawFn, most_kinds: int = 3) -> Problem:
    """One to four buckets, one to three kinds of replica; some kinds are of one type, some do not fit some buckets."""
    buckets, kinds = draw(st.integers(1, 4)), draw(st.integers(1, most_kinds))
    hours = st.one_of(
        st.sampled_from([0.5, 1.0, 2.0]), st.floats(0.1, 4.0), st.sampled_from([1e-9, 1e-6, float("inf")])
    )
    work = np.array([[draw(hours) for _ in range(kinds)] for _ in range(buckets)])
    types = np.array([draw(st.integers(0, kinds - 1)) for _ in range(kinds)])
    return Problem(
        work,
        np.array([draw(st.floats(0.2, 8.0)) for _ in range(kinds)]),
        np.array([draw(st.sampled_from([0.0, 0.05, 0.3])) for _ in range(kinds)]),
        np.array([draw(st.sampled_from([1, 2])) for _ in range(kinds)]),
        types,
        np.array([draw(st.sampled_from([2.0, 4.0, float("inf")])) for _ in range(kinds)]),
    )


def check(problem: Problem, split: Split) -> None:
    """Every row has its place, on replicas that exist and take it, and hours and cost are those of that."""
    assert np.allclose(split.shares.sum(axis=1), 1)
    assert (split.shares >= 0).all()
    assert not split.shares[~problem.fits].any()
    assert not split.shares[:, split.replicas == 0].any()
    gpus = np.zeros(len(problem.available))
    np.add.at(gpus, problem.types, split.replicas * problem.gpus)
    assert (gpus <= problem.available).all()
    used = split.replicas > 0
    ends = split.busy(problem)[used] / split.replicas[used] + problem.start[used]
    assert ends.max() <= split.hours * (1 + 1e-6) + 1e-9


def cheapest_by_trying(problem: Problem, deadline: float, billing: str) -> float:
    """Least cost over every number of replicas, each with the cheapest split on them; inf where there is none."""
    costs = (_cost(problem, np.array(y), deadline, billing) for y in _counts(problem, deadline))
    return min(costs, default=float("inf"))


def earliest_by_trying(problem: Problem, deadline: float, budget: float) -> float:
    """Least time over every number of replicas up to those that `deadline` can need, within the budget."""
    return min((_hours(problem, np.array(y), budget) for y in _counts(problem, deadline)), default=float("inf"))


def _counts(problem: Problem, deadline: float) -> itertools.product[tuple[int, ...]]:
    work = np.where(np.isfinite(problem.work), problem.work, 0).sum(axis=0)
    left = np.maximum(deadline - problem.start, 0)
    useful = np.where(left > 0, np.ceil(work / np.where(left > 0, left, 1.0)), 0)
    most = np.minimum(useful, np.floor(problem.available[problem.types] / problem.gpus)).astype(int)
    return itertools.product(*(range(m + 1) for m in most))


def _allowed(problem: Problem, replicas: np.ndarray) -> bool:
    gpus = np.bincount(problem.types, replicas * problem.gpus, len(problem.available))
    return bool((gpus <= problem.available).all())


def _equal(problem: Problem, extra: int) -> np.ndarray:
    b, g = problem.work.shape
    return np.hstack([np.repeat(np.eye(b), g, axis=1), np.zeros((b, extra))])


def _loads(problem: Problem) -> np.ndarray:
    """Replica-hours of each kind, [g, b * g], variables by bucket."""
    b, g = problem.work.shape
    loads = np.zeros((g, b * g))
    for kind in range(g):
        loads[kind, kind::g] = np.where(np.isfinite(problem.work[:, kind]), problem.work[:, kind], 0)
    return loads


def _bounds(problem: Problem, replicas: np.ndarray) -> list[tuple[float, float]]:
    return [(0, float(np.isfinite(w) and y > 0)) for row in problem.work for w, y in zip(row, replicas, strict=True)]


def _cost(problem: Problem, replicas: np.ndarray, deadline: float, billing: str) -> float:
    if not _allowed(problem, replicas):
        return float("inf")
    loads, room = _loads(problem), (deadline - problem.start) * replicas
    paid = problem.usd @ loads * (billing != HELD)
    found = linprog(
        paid, loads, np.maximum(room, 0), _equal(problem, 0), np.ones(len(problem.work)), _bounds(problem, replicas)
    )
    each = deadline if billing == HELD else problem.start
    return float(found.fun + problem.usd @ (replicas * each)) if found.status == 0 else float("inf")


def _hours(problem: Problem, replicas: np.ndarray, budget: float) -> float:
    """All replicas counted must be used or paid for their start; those of fewer are tried on their own."""
    if not _allowed(problem, replicas) or not replicas.any():
        return float("inf")
    loads, used = _loads(problem), replicas > 0
    upper = np.hstack([loads[used] / replicas[used, None], -np.ones((used.sum(), 1))])
    limits = -problem.start[used]
    if np.isfinite(budget):
        upper = np.vstack([upper, np.append(problem.usd @ loads, 0)])
        limits = np.append(limits, budget - problem.usd @ (problem.start * replicas))
    objective = np.append(np.zeros(loads.shape[1]), 1)
    bounds = [*_bounds(problem, replicas), (0, None)]
    found = linprog(objective, upper, limits, _equal(problem, 1), np.ones(len(problem.work)), bounds)
    return float(found.fun) if found.status == 0 else float("inf")
