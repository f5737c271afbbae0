"""The linear programs for given replicas: the cheapest split on them, or how far they are from doing it all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import OptimizeResult, linprog

from sparkllm.backend.placement.lattice import UndecidedError
from sparkllm.backend.placement.master import Master
from sparkllm.backend.placement.pairs import Pairs

__all__ = ["Tried", "scarcity", "tried"]

_SLACK = 1e-6  # of a replica, by which a split may exceed the work of its replicas
_SOLVED, _INFEASIBLE = 0, 2  # scipy's numbers


@dataclass(frozen=True, eq=False)
class Tried:
    """What came of a number of replicas.

    Attributes:
        replicas: float64 [g].
        shares: float64 [b, g].
        usd: inf where they cannot do it all.
        prices: float64 [g], the dual prices: what one replica more would save, of overtime where it is needed.
    """

    replicas: np.ndarray
    shares: np.ndarray
    usd: float
    prices: np.ndarray


def tried(master: Master, replicas: np.ndarray) -> Tried:
    """The cheapest split over these replicas; each bucket fits on one of them."""
    each = float(master.each @ replicas)
    pairs = _pairs(master, replicas > 0)
    if master.released:
        scale = 1 / master.worth(master.price[None])[0]
        found = _solved(pairs, replicas, scale * master.paid[pairs.bucket, pairs.kind])
        if found.status == _SOLVED:
            prices = _prices(master, pairs, -found.ineqlin.marginals / scale, master.paid)
            return Tried(replicas, pairs.shares(found.x, master.loads.shape), each + found.fun / scale, prices)
    over = _solved(pairs, replicas, np.zeros(len(pairs.kind)), master.price / master.price.max())
    shares, extra = np.split(over.x, [len(pairs.kind)])
    enough = not master.released and extra.max() <= _SLACK
    prices = _prices(master, pairs, -over.ineqlin.marginals, np.zeros_like(master.paid))
    return Tried(replicas, pairs.shares(shares, master.loads.shape), each if enough else np.inf, prices)


def scarcity(master: Master) -> np.ndarray | None:
    """US dollars that one GPU more of a type would save if replicas came in parts, [t]; None if there are too few."""
    kinds = (master.price * master.loads).argmin(axis=1)
    replicas = np.bincount(kinds, master.loads[np.arange(len(kinds)), kinds], len(master.price))
    if (master.gpus @ replicas <= master.available).all():
        return np.zeros(len(master.available))
    pairs, scale = _pairs(master, master.most > 0), master.price.max()
    gpus = sparse.csr_array(master.gpus) @ pairs.matrix(len(master.price))
    found = _linprog(pairs.work * master.price[pairs.kind] / scale, gpus, master.available + _SLACK, pairs.sums(0))
    return None if found.status == _INFEASIBLE else np.maximum(-scale * found.ineqlin.marginals, 0.0)


def _pairs(master: Master, kinds: np.ndarray) -> Pairs:
    bucket, kind = np.nonzero(np.isfinite(master.loads) & kinds)
    return Pairs(bucket, kind, master.loads[bucket, kind])


def _solved(pairs: Pairs, replicas: np.ndarray, usd: np.ndarray, over: np.ndarray | None = None) -> OptimizeResult:
    """At least cost, with overtime at a price for each kind, or without any."""
    kinds = len(replicas)
    loads, limits = pairs.matrix(kinds), replicas + _SLACK
    if over is not None:
        loads, limits = sparse.hstack([loads, -sparse.eye_array(kinds)], "csc"), replicas
        usd = np.append(usd, over)
    return _linprog(usd, loads, limits, pairs.sums(loads.shape[1] - len(pairs.kind)))


def _linprog(usd: np.ndarray, loads: sparse.csc_array, limits: np.ndarray, sums: sparse.csc_array) -> OptimizeResult:
    found = linprog(usd, A_ub=loads, b_ub=limits, A_eq=sums, b_eq=np.ones(sums.shape[0]))
    if found.status not in (_SOLVED, _INFEASIBLE):
        raise UndecidedError
    return found


def _prices(master: Master, pairs: Pairs, prices: np.ndarray, paid: np.ndarray) -> np.ndarray:
    """With those of kinds of which there is none: as little as makes no bucket cheaper."""
    fits = np.isfinite(master.loads)
    costs = np.multiply(master.loads, prices, where=fits, out=np.full_like(master.loads, np.inf)) + paid
    there = np.bincount(pairs.kind, minlength=len(prices)) > 0
    closed = ((costs[:, there].min(axis=1)[:, None] - paid) / master.loads).max(axis=0)
    return np.maximum(np.where(there, prices, closed), 0.0)
