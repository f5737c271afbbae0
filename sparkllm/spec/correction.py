"""Factors on the terms of a predicted time, learnt slowly from measured steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkllm.spec.arrays import Floats

__all__ = ["Correction"]

_SHARED_RIDGE = 0.5  # measurements that the belief in "this machine is as fast as at start" is worth
_OWN_RIDGE = 4.0  # and in "the terms still relate as they did"
_DOUBT_RIDGE = 0.1  # and in the same of a term that is in doubt
_DOUBT_BOUNDS = (0.1, 4.0)  # of the factor of such a term


class Correction:
    """Ridge regression toward 1 of a factor for each term, in relative errors, with Huber weights.

    A factor is 1 + shared + own. A loaded machine slows every term: that is `shared`, which changes no choice of draft
    lengths, so it is believed sooner than that one term alone has changed. The ridge also keeps terms that always grow
    together from running apart.

    Args:
        terms: number of terms.
        lowest, highest: bounds of a factor; those of doubtful terms are wider.
        doubtful: terms of which the profile tells little; what others leave unexplained is laid to them first.
        fade: share of the evidence kept from one step to the next.
        usual: relative error from which on a measurement weighs less.
        outlier: a step this many times slower or faster than predicted is left out,
        patience: unless that many come in a row.
    """

    def __init__(
        self,
        terms: int,
        lowest: float = 0.5,
        highest: float = 2.0,
        fade: float = 0.995,
        usual: float = 0.05,
        outlier: float = 3.0,
        patience: int = 20,
        doubtful: Sequence[int] = (),
    ) -> None:
        self.factors: Floats = np.ones(terms)
        self._lowest, self._highest = np.full(terms, lowest), np.full(terms, highest)
        self._fade, self._usual = fade, usual
        self._outlier, self._patience, self._odd = outlier, patience, 0
        own = np.full(terms, _OWN_RIDGE)
        for term in doubtful:
            own[term], (self._lowest[term], self._highest[term]) = _DOUBT_RIDGE, _DOUBT_BOUNDS
        self._ridge = np.diag([_SHARED_RIDGE, *own])
        self._square = np.zeros((terms + 1, terms + 1))
        self._product = np.zeros(terms + 1)

    def observe(self, parts: Floats, seconds: float, only: int | None = None) -> None:
        """One step: its uncorrected terms in seconds, (terms,), and its measured time.

        With `only`, what the other terms leave unexplained is laid to that one alone, and they learn nothing.
        """
        predicted = float(parts @ self.factors)
        if not predicted > 0 or not seconds > 0 or self._is_outlier(seconds / predicted):
            return
        whole = float(parts.sum())
        shares, error = parts / whole, (seconds - float(parts.sum())) / whole
        inputs = np.concatenate(([1.0], shares))
        if only is not None:
            others = np.delete(np.arange(len(parts)), only)
            error = (seconds - float(parts[others] @ self.factors[others]) - parts[only]) / whole
            inputs = np.zeros(len(parts) + 1)
            inputs[1 + only] = shares[only]
        weight = min(1.0, self._usual / max(abs(seconds - predicted) / predicted, 1e-9))
        self._square = self._fade * self._square + weight * np.outer(inputs, inputs)
        self._product = self._fade * self._product + weight * error * inputs
        shared, *own = np.linalg.solve(self._square + self._ridge, self._product)
        self.factors = np.clip(1.0 + shared + np.array(own), self._lowest, self._highest)

    def _is_outlier(self, ratio: float) -> bool:
        odd = not 1 / self._outlier <= ratio <= self._outlier
        self._odd = self._odd + 1 if odd else 0
        return odd and self._odd < self._patience
