"""What may still follow a set of columns, from the joint counts of pairs alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkllm.optimizer.ordering.counts import Counts

__all__ = ["Completion"]

_FOLLOWING = 16  # columns that a promise looks ahead


@dataclass(frozen=True)
class Completion:
    """Bounds and estimates of the hits that the columns behind a set add.

    Attributes:
        pairs: float64 [m, m], the length that column d repeats behind column c; 0 where c is d.
        kept: float64 [m, m], the same as a share of what d repeats with no column before it, 0..1.
    """

    pairs: np.ndarray
    kept: np.ndarray

    @classmethod
    def of(cls, counts: Counts, state: Any, gains: np.ndarray) -> Completion:
        """Count every pair; `state` and `gains` (float64 [m]) are those before the first column."""
        pairs = np.zeros((len(gains), len(gains)))
        some = np.flatnonzero(gains > 0).tolist()
        for column in some:
            pairs[column, some] = counts.gains(counts.place(state, column), some)
            pairs[column, column] = 0
        return cls(pairs, np.minimum(1, pairs / np.where(gains > 0, gains, 1)))

    def of_each(self, gains: np.ndarray, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """What each column adds behind a set with all that may follow it.

        A column repeats the less, the more columns stand before it, so `min(gains[d], pairs[c, d])` bounds what d adds
        behind the set and c. The estimate places the columns that add most first, and lets each keep the share of the
        others that it keeps with no column before it.

        Args:
            gains: float64 [m], what each column adds behind the set; 0 for columns of the set.
            least: no estimate is made where the bound is not above it.

        Returns:
            Upper bounds and estimates, float64 [m] each.

        >>> completion = Completion(np.array([[0, 6, 0], [6, 0, 0], [0, 0, 0.0]]), np.array([[0, 1, 0]] * 3) / 1.0)
        >>> [part.tolist() for part in completion.of_each(np.array([6.0, 6.0, 9.0]))]
        [[12.0, 12.0, 9.0], [12.0, 12.0, 9.0]]
        """
        left = np.minimum(gains, self.pairs)
        bound = gains + left.sum(axis=1)
        promise, some = bound.copy(), np.flatnonzero((gains > 0) & (bound > least))
        left, total = left[some], gains[some]
        for _ in range(min(_FOLLOWING, len(gains))):
            next_column = left.argmax(axis=1)[:, None]
            added = np.take_along_axis(left, next_column, 1)
            if not added.any():
                break
            total = total + added[:, 0]
            left = left * self.kept[next_column[:, 0]]
            np.put_along_axis(left, next_column, 0, 1)
        promise[some] = total
        return bound, promise
