"""Benders' decomposition for few kinds of replica: their numbers are gone through, linear programs split the work."""

from __future__ import annotations

import numpy as np

from sparkllm.backend.placement.cuts import Cuts
from sparkllm.backend.placement.lattice import UndecidedError, lattice
from sparkllm.backend.placement.master import Master
from sparkllm.backend.placement.subproblem import Tried, scarcity, tried

__all__ = ["benders"]

_GAP = 1e-6  # relative, at which a placement counts as the cheapest
_FIRST = 1e-3  # by which the first ceiling exceeds the least cost; and no more than
_PART = 0.05  # of the cheapest replica
_GROWTH = 2.0  # of that from one ceiling to the next
_CEILINGS = 60


def benders(master: Master) -> Tried | None:
    """The replicas and the split of least cost; None where there are none that do the work.

    Under a ceiling just above the cost of the continuous program there are few numbers of replicas that prices do not
    rule out. They are tried, those that seem the cheapest first, and the dual prices of each (Benders 1962) rule more
    of them out. Where none is left, the ceiling is raised.

    Raises:
        UndecidedError: too many numbers of replicas are to be tried.
    """
    rent = scarcity(master)
    if rent is None:
        return None
    cuts, best = Cuts(master, rent), None
    step = min(_FIRST * cuts.least, _PART * master.price.min())
    ceiling = cuts.least + step
    for _ in range(_CEILINGS):
        best = _under(master, cuts, ceiling, best)
        if ceiling >= (master.dearest if best is None else best.usd):
            return best
        step *= _GROWTH
        ceiling = min(cuts.least + step, np.inf if best is None else best.usd)
    raise UndecidedError


def _under(master: Master, cuts: Cuts, ceiling: float, best: Tried | None) -> Tried | None:
    """The best there is for `ceiling` at most, or what was known before, or something dearer that was met."""
    points = lattice(*cuts.box(ceiling), *cuts.half_spaces(ceiling))
    bound = cuts.bound(points)
    while len(points):
        known = np.inf if best is None else best.usd
        place = bound.argmin()
        if bound[place] >= known * (1 - _GAP):
            break
        found = tried(master, points[place])
        if found.usd < known:
            best = found
        cuts.learn(found.prices[None], paid=master.released and found.usd < np.inf)
        bound = np.maximum(bound, cuts.bound(points, newest=1))
        bound[place] = np.inf
        points, bound = points[bound < np.inf], bound[bound < np.inf]
    return best
