"""Cuts that speed the solver up must not cut a placement off."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.backend.placement.rounded_cuts import rounded_cuts


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_every_split_on_whole_replicas_keeps_to_the_cuts(seed: int, buckets: int, kinds: int) -> None:
    random = np.random.default_rng(seed)
    work = random.lognormal(0, 1.5, (buckets, kinds))
    work[random.random(work.shape) < 0.2] = np.inf
    work[:, 0] = random.lognormal(0, 1.5, buckets)
    left, usd = random.uniform(0.5, 2.0, kinds), random.uniform(0.5, 7.0, kinds)
    cuts, least = rounded_cuts(work, left, usd)
    assert (cuts == np.round(cuts)).all()
    for _ in range(20):
        shares = np.where(np.isfinite(work), random.dirichlet(np.full(kinds, 0.3), buckets), 0.0)
        shares[:, 0] += 1 - shares.sum(axis=1)
        loads = (np.where(np.isfinite(work), work, 0.0) * shares).sum(axis=0) / left
        assert (cuts @ np.ceil(loads - 1e-9) >= least - 1e-6).all()


def test_the_continuous_answer_is_cut_off() -> None:
    """1.6 replicas of the cheaper kind are no answer; two of them are, or one of the dearer kind, alone or not."""
    cuts, least = rounded_cuts(np.array([[1.6, 1.0]]), np.ones(2), np.array([1.0, 1.7]))
    assert (cuts @ [1.6, 0] < least).all()
    assert len(cuts)
    for whole in ([2, 0], [1, 1], [0, 1]):
        assert (cuts @ whole >= least).all()
