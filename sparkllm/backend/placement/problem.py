"""The placement problem in numbers: buckets against kinds of replica."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

__all__ = ["DUST", "HELD", "MOST_REPLICAS", "RELEASED", "Problem", "Split"]

RELEASED, HELD = "released", "held"
# Numbers below HiGHS's tolerance of 1e-6 make its presolve lose the best answer (seen with scipy 1.17): less work than
# this, in the unit of a program, counts as this much.
DUST = 5e-6
MOST_REPLICAS = 10_000  # of one kind; what needs more is a mistake in the numbers


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be done, by what, at which price. All times in hours, b buckets, g kinds of replica, t GPU types.

    Attributes:
        work: float64 [b, g], replica-hours that all rows of a bucket take, above 0; inf where a row does not fit.
        usd: float64 [g], of one replica-hour.
        start: float64 [g], from asking for a replica to its first answer.
        gpus: int64 [g], of one replica.
        types: int64 [g], the GPU type of a kind, 0..t-1.
        available: float64 [t], GPUs there are; inf for no limit.
    """

    work: np.ndarray
    usd: np.ndarray
    start: np.ndarray
    gpus: np.ndarray
    types: np.ndarray
    available: np.ndarray

    @cached_property
    def fits(self) -> np.ndarray:
        """bool [b, g]: the kind takes rows of the bucket, and there are GPUs for one replica of it."""
        return np.isfinite(self.work) & (self.gpus <= self.available[self.types])

    @cached_property
    def homeless(self) -> np.ndarray:
        """The buckets that no kind takes, int64 [.]."""
        return np.flatnonzero(~self.fits.any(axis=1))

    @property
    def horizon(self) -> float:
        """A time by which one replica of each kind has done everything, in any split."""
        slowest = np.where(self.fits, self.work, 0.0).max(axis=1).sum()
        return float(self.start.max(initial=0.0) + slowest) * 1.001 + 1e-6

    def most(self, deadline: float) -> np.ndarray:
        """Replicas of each kind beyond which none is of use or to be had, int64 [g]."""
        left = deadline - self.start
        work = np.where(self.fits, np.maximum(self.work, DUST * deadline), 0.0).sum(axis=0)
        useful = np.where(left > 2 * DUST * deadline, np.ceil(work / np.maximum(left, 1e-12)), 0.0)
        most = np.minimum(np.minimum(useful, np.floor(self.available[self.types] / self.gpus)), MOST_REPLICAS)
        return most.astype(np.int64)

    def only(self, kinds: np.ndarray) -> Problem:
        """The same with some kinds alone, given as places or as bool [g]."""
        part = {name: getattr(self, name)[kinds] for name in ("usd", "start", "gpus", "types")}
        return replace(self, work=self.work[:, kinds], **part)


@dataclass(frozen=True, eq=False)
class Split:
    """A placement.

    Attributes:
        replicas: int64 [g].
        shares: float64 [b, g], of the rows of a bucket; each bucket's sum to 1.
        hours: until the last replica is done, its start included.
        usd: what it costs.
    """

    replicas: np.ndarray
    shares: np.ndarray
    hours: float
    usd: float

    @classmethod
    def of(cls, problem: Problem, replicas: np.ndarray, shares: np.ndarray) -> Split:
        """As these shares come out; replicas without work are left out, the others are paid until they are done."""
        split = cls(replicas, shares, 0.0, 0.0)
        busy = split.busy(problem)
        working = np.where(busy > 0, replicas, 0)
        hours = (busy / np.maximum(replicas, 1) + problem.start)[working > 0].max(initial=0.0)
        return cls(working, shares, float(hours), float(problem.usd @ (busy + problem.start * working)))

    def busy(self, problem: Problem) -> np.ndarray:
        """Replica-hours of work of each kind, float64 [g]."""
        return (np.where(self.shares > 0, problem.work, 0.0) * self.shares).sum(axis=0)
