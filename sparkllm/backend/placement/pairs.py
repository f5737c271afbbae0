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

    def sums(self, others: int) -> sparse.csr_array:
        """Each bucket's shares, [b, v + others]; the other variables have no part in it."""
        pairs, buckets = len(self.bucket), int(self.bucket.max()) + 1
        return sparse.csr_array((np.ones(pairs), (self.bucket, range(pairs))), (buckets, pairs + others))

    def loads(self, scale: np.ndarray) -> sparse.csr_array:
        """Each kind's work times `scale` [g], [g, v]; no less than `DUST`."""
        loads = np.maximum(self.work * scale[self.kind], DUST)
        return sparse.csr_array((loads, (self.kind, range(len(self.kind)))), (len(scale), len(self.kind)))

    def shares(self, found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """float64 [b, g], cleaned of what is no more than rounding."""
        shares = np.zeros(shape)
        shares[self.bucket, self.kind] = np.where(found < 1e-9, 0.0, found)
        return shares / shares.sum(axis=1, keepdims=True)
