"""What steps of one number of tokens take beside what the curve says, learnt from measured steps.

A curve through a few points is smooth, and rises; kernels need not: two rows of a matrix may take longer than five, and
a tile begun costs as much as a full one. Terms of a sum cannot follow that, so each number of tokens has a factor of
its own; 1 as long as noise explains what was measured as well.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from sparkllm.spec.arrays import Floats, Ints

__all__ = ["Residuals"]

_EXACT = 32  # numbers of tokens with a factor each; beyond, so many share one as keep the factors of a doubling to
_OF_A_DOUBLING = 8
_MOST = 1 << 20
_PRIOR = 2.0  # measurements that the curve is worth
_FADE = 0.98
_NOISE = 0.1  # of single steps, relative: what it may explain counts as nothing, else noise would choose lengths
_USUAL = 0.2  # relative error from which on a measurement weighs less
_OUTLIER = 1.0  # and from which on it tells of something else; natural logarithms both


class Residuals:
    """Factors by the number of tokens of a step; 1 where nothing was measured."""

    def __init__(self) -> None:
        places = 1 + int(self._places(np.array([_MOST]))[0])
        self._sums, self._weights, self._factors = np.zeros(places), np.zeros(places), np.ones(places)

    def of(self, tokens: Ints) -> Floats:
        """Factors of so many tokens, of their shape."""
        return cast(Floats, self._factors[self._places(tokens)])

    def at(self, tokens: int) -> float:
        """The factor of one number of tokens."""
        return float(self._factors[self._place(tokens)])

    def observe(self, tokens: int, predicted: float, seconds: float, steps: int = 1) -> None:
        """Steps of so many tokens took `seconds`, and without their factor were predicted to take `predicted`."""
        if not predicted > 0 or not seconds > 0:
            return
        place, error = self._place(tokens), math.log(seconds / predicted)
        if abs(error) > _OUTLIER:
            return
        weight = min(1.0, _USUAL / max(abs(error), 1e-9)) * steps
        self._sums[place] = _FADE**steps * self._sums[place] + weight * error
        self._weights[place] = _FADE**steps * self._weights[place] + weight
        mean = self._sums[place] / (self._weights[place] + _PRIOR)
        doubt = _NOISE / math.sqrt(self._weights[place])
        self._factors[place] = math.exp(math.copysign(max(0.0, abs(mean) - doubt), mean))

    @staticmethod
    def _place(tokens: int) -> int:
        if tokens < _EXACT:
            return tokens
        return _EXACT + int(_OF_A_DOUBLING * math.log2(min(tokens, _MOST) / _EXACT))

    @staticmethod
    def _places(tokens: Ints) -> Ints:
        far = _EXACT + (_OF_A_DOUBLING * np.log2(np.clip(tokens, _EXACT, _MOST) / _EXACT)).astype(np.int64)
        return np.where(tokens < _EXACT, tokens, far)
