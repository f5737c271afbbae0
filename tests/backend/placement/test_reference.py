"""Against the reference formulation (Mélange: whole slices of buckets): never dearer, often cheaper."""

from __future__ import annotations

import numpy as np
import pytest

from bench.placement_instances import Instance, random_instance, sliced_cost
from sparkllm.backend.placement.cheapest import cheapest
from sparkllm.backend.placement.problem import HELD
from tests.backend.placement.small_problems import check

# melange/config/example.json of tyler-griggs/melange-release at ebba701bc71397a360d1e6f58eeb2a49b65b07d6
EXAMPLE = Instance(
    rates=30.0 * np.array([0.2, 0.1, 0.5, 0.2]),
    throughput=np.array([[2.0, 20.0], [1.0, 20.0], [5.0, 40.0], [2.0, 20.0]]),
    usd=np.array([1.01, 3.67]),
)


def test_the_references_example_costs_4_68_where_whole_slices_cost_more() -> None:
    found = cheapest(EXAMPLE.problem(), 1.0, HELD)
    assert found is not None
    assert (found.usd, found.replicas.tolist()) == (pytest.approx(4.68), [1, 1])
    check(EXAMPLE.problem(), found)
    costs = [sliced_cost(EXAMPLE, slices) for slices in (1, 2, 4, 8)]
    assert costs == pytest.approx([6.70, 5.69, 5.69, 5.69])


def test_a_type_that_cannot_take_a_bucket_is_no_error() -> None:
    """The reference divides by this zero."""
    throughput = EXAMPLE.throughput.copy()
    throughput[0, 0] = 0.0
    instance = Instance(EXAMPLE.rates, throughput, EXAMPLE.usd)
    found = cheapest(instance.problem(), 1.0, HELD)
    assert found is not None
    assert found.shares[0].tolist() == [0, 1]
    assert found.usd <= sliced_cost(instance) + 1e-9


def test_never_dearer_than_whole_slices_and_mostly_cheaper() -> None:
    cheaper = 0
    for seed in range(200):
        instance = random_instance(seed, buckets=(3, 7), types=(2, 4))
        found = cheapest(instance.problem(), 1.0, HELD)
        assert found is not None
        check(instance.problem(), found)
        sliced = sliced_cost(instance, slices=seed % 4 + 1, seconds=5.0)
        assert found.usd <= sliced * (1 + 1e-6), seed
        cheaper += found.usd < sliced * (1 - 1e-6)
    assert cheaper >= 50
