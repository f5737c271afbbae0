"""Which replicas, and with them which rows where, at least cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparkllm.backend.placement.benders import benders
from sparkllm.backend.placement.earliest import earliest
from sparkllm.backend.placement.integer_program import integer_program
from sparkllm.backend.placement.lattice import UndecidedError
from sparkllm.backend.placement.master import Master
from sparkllm.backend.placement.problem import HELD, RELEASED, Problem, Split

__all__ = ["cheapest"]

_SLACK = 1e-6  # of a replica, by which the solvers may exceed the work of its replicas


def cheapest(problem: Problem, deadline: float, billing: str = RELEASED) -> Split | None:
    """The placement of least cost that is done by `deadline` hours; None where there is none.

        minimise    released: sum_g usd_g (work_g + start_g y_g)      held: sum_g usd_g deadline y_g
        subject to  sum_g z_bg = 1,   work_g = sum_b work_bg z_bg <= (deadline - start_g) y_g,
                    GPUs of a type <= available,   0 <= z <= 1,   y whole

    The shares z are continuous: with whole slices of buckets (Mélange, arXiv 2404.14527, section 5) the same program
    has more integers and never a better answer.
    """
    try:
        found = _counted(problem, deadline, billing)
    except UndecidedError:
        found = integer_program(problem, deadline, billing)
    return None if found is None else _tightened(problem, Split.of(problem, *found), deadline, billing)


def _counted(problem: Problem, deadline: float, billing: str) -> tuple[np.ndarray, np.ndarray] | None:
    """With the kinds that are of use, by counting through their numbers."""
    kinds = np.flatnonzero(problem.most(deadline) > 0)
    part = problem.only(kinds)
    found = None if len(part.homeless) else benders(Master.of(part, deadline, billing))
    if found is None:
        return None
    replicas, shares = np.zeros(len(problem.usd), dtype=np.int64), np.zeros(problem.work.shape)
    replicas[kinds], shares[:, kinds] = found.replicas, found.shares
    return replicas, shares


def _tightened(problem: Problem, split: Split, deadline: float, billing: str) -> Split:
    """No replica more than the work needs, and, at no more cost, done as early as they can be."""
    needed = np.ceil(split.busy(problem) / np.maximum(deadline - problem.start, 1e-12) - _SLACK).astype(np.int64)
    fewer = Split.of(problem, np.minimum(split.replicas, np.maximum(needed, 1)), split.shares)
    held = float(problem.usd @ fewer.replicas) * deadline
    sooner = earliest(problem, fewer.replicas, np.inf if billing == HELD else fewer.usd) or fewer
    return replace(sooner, usd=held if billing == HELD else min(fewer.usd, sooner.usd))
