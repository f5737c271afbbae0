"""The program of the replicas alone: what prices of their hours say about the cost of a number of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkllm.backend.placement.problem import DUST, RELEASED, Problem

__all__ = ["Master"]


@dataclass(frozen=True, eq=False)
class Master:
    """Benders' master program: b buckets, g kinds of replica, t GPU types of which there are not any number.

    Attributes:
        loads: float64 [b, g], replicas that a bucket keeps busy until the deadline; inf where it does not fit.
        paid: float64 [b, g], US dollars for the work of a bucket where replicas are released when done; else 0.
        each: float64 [g], US dollars for a replica besides.
        price: float64 [g], US dollars for a replica until the deadline.
        most: float64 [g], replicas of which more are of no use.
        gpus: float64 [t, g], of a replica.
        available: float64 [t].
        dust: US dollars by which loads are rounded up, in all.
    """

    loads: np.ndarray
    paid: np.ndarray
    each: np.ndarray
    price: np.ndarray
    most: np.ndarray
    gpus: np.ndarray
    available: np.ndarray
    dust: float

    @classmethod
    def of(cls, problem: Problem, deadline: float, billing: str) -> Master:
        """Of kinds of which one replica at least is of use."""
        fits, released, left = problem.fits, billing == RELEASED, deadline - problem.start
        work, price = np.where(fits, problem.work, 0.0), problem.usd * deadline
        loads = np.maximum(work, DUST * deadline) / left
        dust = np.where(fits, loads - work / left, 0.0)
        limited = np.isfinite(problem.available)
        gpus = np.where(problem.types == np.arange(len(limited))[:, None], problem.gpus, 0.0)
        return cls(
            loads=np.where(fits, loads, np.inf),
            paid=work * problem.usd * released,
            each=problem.usd * problem.start if released else price,
            price=price,
            most=problem.most(deadline).astype(float),
            gpus=gpus[limited],
            available=problem.available[limited],
            dust=float(dust.sum(axis=0) @ price),
        )

    @property
    def released(self) -> bool:
        return bool((self.each < self.price).any())

    @property
    def dearest(self) -> float:
        """What no placement exceeds."""
        return float(self.price @ self.most) * (1 + len(self.loads) * DUST)

    def worth(self, prices: np.ndarray, paid: bool = False) -> np.ndarray:
        """The work at prices for a replica [k, g], each bucket on the kind that is then the cheapest for it, [k].

        With or without what is paid for the work itself.
        """
        least = np.full((len(self.loads), len(prices)), np.inf)
        for kind, load in enumerate(self.loads.T):
            fits = np.isfinite(load)
            cost = load[fits, None] * prices[:, kind]
            if paid:
                cost += self.paid[fits, kind, None]
            least[fits] = np.minimum(least[fits], cost)
        return least.sum(axis=0)
