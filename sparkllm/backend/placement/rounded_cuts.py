"""Inequalities over whole replicas that every placement keeps to, and the continuous program does not know."""

from __future__ import annotations

import numpy as np

__all__ = ["rounded_cuts"]

_SCALES = np.linspace(1, 4, 24)  # of prices, rounded to whole numbers
_NEAR = (1.0, 2.0)  # scales around which single numbers are moved by one
_MOVED = 250  # of those, most
_CUTS = 20
_SLACK = 1e-6  # of a replica, by which a placement may exceed the work of its replicas


def rounded_cuts(work: np.ndarray, left: np.ndarray, usd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chvatal-Gomory cuts: `cuts @ replicas >= least` for all whole replicas that can do the work.

    Whatever price a replica-hour of each kind has, the work costs no less than with each bucket on the kind that is
    then the cheapest for it, and no more than all hours of the replicas. With a whole number as the price of each
    replica the replicas' total is whole too, so that the cost of the work may be rounded up. Tried are prices like the
    true ones; kept are cuts that the continuous program's answer breaks.

    Args:
        work: float64 [b, g], replica-hours of a bucket; inf where it does not fit. Each bucket fits somewhere.
        left: float64 [g], hours that a replica has for work, above 0.
        usd: float64 [g], what a replica costs, above 0.

    Returns:
        cuts: float64 [k, g], whole numbers, 0 or more.
        least: float64 [k].

    >>> work, left = np.array([[1.2, 0.8]]), np.ones(2)
    >>> cuts, least = rounded_cuts(work, left, usd=np.array([1.0, 2.0]))
    >>> [(cut.tolist(), float(r)) for cut, r in zip(cuts, least) if cut.tolist() == [1.0, 2.0]]
    [([1.0, 2.0], 2.0)]
    """
    loads = work / left
    best = (loads * usd).argmin(axis=1)
    answer = np.bincount(best, loads[np.arange(len(best)), best], len(usd))
    prices = _prices(usd / usd.min())
    least = np.ceil(_cost(loads, prices) - _SLACK * prices.sum(axis=1))
    broken = (least - prices @ answer) / np.linalg.norm(prices, axis=1)
    worst = np.argsort(-broken)[:_CUTS]
    worst = worst[broken[worst] > 1e-6]
    return prices[worst], least[worst]


def _prices(usd: np.ndarray) -> np.ndarray:
    """Whole numbers near multiples of the prices, [k, g]; the same ones each time."""
    moved = np.random.default_rng(0).integers(-1, 2, (_MOVED, len(usd)))
    tried = [np.round(usd * _SCALES[:, None]), *(np.round(usd * scale) + moved for scale in _NEAR)]
    whole = np.unique(np.concatenate(tried).clip(0), axis=0)
    return whole[whole.any(axis=1)]


def _cost(loads: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """Of all buckets, each on the kind that is cheapest for it, [k]."""
    least = np.full((len(loads), len(prices)), np.inf)
    for kind, load in enumerate(loads.T):
        fits = np.isfinite(load)
        least[fits] = np.minimum(least[fits], load[fits, None] * prices[:, kind])
    return least.sum(axis=0)
