"""The variables of both programs: the share of each bucket that goes to each kind of replica."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sparkllm.backend.placement.problem import DUST, Problem

__all__ = ["Pairs"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """The variables that shares are: one for each bucket and kind that fit, [v]; each bucket has one at least."""

    bucket: np.ndarray
    kind: np.ndarray
    work: np.ndarray

    @classmethod
    def of(cls, problem: Problem, kinds: np.ndarray) -> Pairs | None:
        """With these kinds, bool [g]; None where a bucket fits on none of them."""
        fits = problem.fits & kinds
        bucket, kind = np.nonzero(fits)
        return cls(bucket, kind, problem.work[bucket, kind]) if fits.any(axis=1).all() else None

    def sums(self, others: int) -> sparse.csc_array:
        """Each bucket's shares, [b, v + others]; the other variables have no part in it."""
        pairs, buckets = len(self.bucket), int(self.bucket.max()) + 1
        ends = np.minimum(np.arange(pairs + others + 1), pairs)
        return sparse.csc_array((np.ones(pairs), self.bucket, ends), (buckets, pairs + others))

    def loads(self, scale: np.ndarray) -> sparse.csc_array:
        """Each kind's work times `scale` [g], [g, v]; no less than `DUST`."""
        return self._by_kind(np.maximum(self.work * scale[self.kind], DUST), len(scale))

    def matrix(self, kinds: int) -> sparse.csc_array:
        """Each kind's work as it is, [g, v]."""
        return self._by_kind(self.work, kinds)

    def _by_kind(self, work: np.ndarray, kinds: int) -> sparse.csc_array:
        return sparse.csc_array((work, self.kind, np.arange(len(work) + 1)), (kinds, len(work)))

    def shares(self, found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """float64 [b, g], cleaned of what is no more than rounding."""
        shares = np.zeros(shape)
        shares[self.bucket, self.kind] = np.where(found < 1e-9, 0.0, found)
        return shares / shares.sum(axis=1, keepdims=True)
