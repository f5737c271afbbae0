"""The whole program at once: which replicas, and with them which rows where. Solved by HiGHS through scipy."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from sparkllm.backend.placement.pairs import Pairs
from sparkllm.backend.placement.problem import DUST, HELD, RELEASED, Problem
from sparkllm.backend.placement.rounded_cuts import rounded_cuts

__all__ = ["integer_program"]

_GAP = 1e-6  # relative, at which a placement counts as the cheapest
_SECONDS = 30.0  # the longest search; what was found until then is taken
_FEW = 4  # replicas; with more, rows of their own for z_bg <= y_g cost more time than they save


def integer_program(problem: Problem, deadline: float, billing: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Replicas [g] and shares [b, g] of least cost, for any number of kinds; None where there are none.

    The shares are continuous variables, the replicas whole ones.
    """
    most = problem.most(deadline)
    pairs = Pairs.of(problem, most > 0)
    if pairs is None:
        return None
    kinds, shares = len(most), len(pairs.bucket)
    constraints = [LinearConstraint(pairs.sums(kinds), 1, 1), _capacity(problem, pairs, deadline)]
    # Of so little work the solver's tolerance might find room for some on no replica at all.
    few = np.where(problem.fits, problem.work, np.inf).min(axis=1).sum() < _FEW * deadline
    opened = np.flatnonzero(pairs.work < (np.inf if few else 20 * DUST * deadline))
    if len(opened):
        constraints.append(_opened(pairs, kinds, opened))
    if np.isfinite(problem.available).any():
        constraints.append(_available(problem, shares))
    if billing == HELD:  # released, most of the cost is in the shares, of which the cuts know nothing
        constraints.append(_rounded(problem, pairs, most > 0, deadline))
    each = problem.usd * (deadline if billing == HELD else problem.start)
    found = milp(
        np.concatenate([pairs.work * problem.usd[pairs.kind] * (billing == RELEASED), each]),
        integrality=np.repeat([0, 1], [shares, kinds]),
        bounds=Bounds(0, np.concatenate([np.ones(shares), most])),
        constraints=constraints,
        options={"mip_rel_gap": _GAP, "time_limit": _SECONDS},
    )
    if found.x is None:
        return None
    replicas = np.round(found.x[shares:]).astype(np.int64)
    return replicas, pairs.shares(np.where(replicas[pairs.kind] > 0, found.x[:shares], 0.0), problem.work.shape)


def _capacity(problem: Problem, pairs: Pairs, deadline: float) -> LinearConstraint:
    """In replicas, so that the solver's tolerance means the same for minutes and for days."""
    loads = pairs.loads(np.full(len(problem.usd), 1 / deadline))
    replicas = sparse.diags_array(problem.start / deadline - 1)
    return LinearConstraint(sparse.hstack([loads, replicas], "csr"), -np.inf, 0)


def _rounded(problem: Problem, pairs: Pairs, kinds: np.ndarray, deadline: float) -> LinearConstraint:
    cuts, least = rounded_cuts(
        np.where(problem.fits, problem.work, np.inf)[:, kinds], (deadline - problem.start)[kinds], problem.usd[kinds]
    )
    whole = np.zeros((len(cuts), len(pairs.bucket) + len(kinds)))
    whole[:, len(pairs.bucket) + np.flatnonzero(kinds)] = cuts
    return LinearConstraint(sparse.csr_array(whole), least, np.inf)


def _available(problem: Problem, shares: int) -> LinearConstraint:
    limited = np.isfinite(problem.available)
    gpus = np.zeros((len(limited), len(problem.gpus)))
    gpus[problem.types, np.arange(len(problem.gpus))] = problem.gpus
    return LinearConstraint(
        np.hstack([np.zeros((limited.sum(), shares)), gpus[limited]]), -np.inf, problem.available[limited]
    )


def _opened(pairs: Pairs, kinds: int, places: np.ndarray) -> LinearConstraint:
    """z_bg <= y_g: implied by whole replicas, but not for what is less work than the solver's tolerance.

    And where few replicas do it all, it makes the relaxed program much tighter.
    """
    ones, each = np.ones(len(places)), np.arange(len(places))
    shares = sparse.csr_array((ones, (each, places)), (len(places), len(pairs.kind)))
    replicas = sparse.csr_array((-ones, (each, pairs.kind[places])), (len(places), kinds))
    return LinearConstraint(sparse.hstack([shares, replicas], "csr"), -np.inf, 0)
