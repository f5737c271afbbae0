"""The linear program: which rows where, on replicas that are given. Solved by HiGHS through scipy."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from sparkllm.backend.placement.pairs import Pairs
from sparkllm.backend.placement.problem import Problem, Split

__all__ = ["earliest"]

_SLACK = 1e-7  # relative, that a split may exceed the budget by


def earliest(problem: Problem, replicas: np.ndarray, budget: float = np.inf) -> Split | None:
    """The split of the rows over these replicas that is done first, for at most `budget`; None where there is none.

    Replicas are paid until they are done. One that starts late holds nobody up if it gets nothing: so the linear
    program is solved for the kinds that start by each of the start-up times, and the best is taken.
    """
    best: Split | None = None
    for start in np.unique(problem.start[replicas > 0]):
        found = _earliest(problem, np.where(problem.start <= start, replicas, 0), budget)
        if found is not None and (best is None or found.hours < best.hours):
            best = found
    return best


def _earliest(problem: Problem, replicas: np.ndarray, budget: float) -> Split | None:
    pairs = Pairs.of(problem, replicas > 0)
    if pairs is None:
        return None
    used = replicas > 0
    # In units of what a replica has to do, so that the solver's tolerance means the same for seconds and for days.
    unit = np.where(problem.fits, problem.work, np.inf).min(axis=1).sum() / replicas.sum()
    loads = pairs.loads(1 / (unit * np.maximum(replicas, 1)))[used]
    rows = [sparse.hstack([loads, sparse.csr_array(-np.ones((used.sum(), 1)))], "csr")]
    limits: list[np.ndarray] = [-problem.start[used] / unit]
    if np.isfinite(budget):
        # Likewise in units of the budget.
        paid = np.append(pairs.work * problem.usd[pairs.kind], 0.0)[None, :] / max(budget, 1e-12)
        rows.append(sparse.csr_array(paid))
        left = budget * (1 + _SLACK) - problem.usd @ (problem.start * replicas)
        limits.append(np.array([left / max(budget, 1e-12)]))
    found = linprog(
        np.append(np.zeros(len(pairs.bucket)), 1.0),
        A_ub=sparse.vstack(rows, "csr"),
        b_ub=np.concatenate(limits),
        A_eq=pairs.sums(1),
        b_eq=np.ones(len(problem.work)),
        bounds=[(0, 1)] * len(pairs.bucket) + [(0, None)],
        method="highs",
    )
    if found.x is None or found.status != 0:
        return None
    return Split.of(problem, replicas, pairs.shares(found.x[:-1], problem.work.shape))
