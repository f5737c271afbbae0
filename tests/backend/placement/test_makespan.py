"""Simulated: a fixed mixed cluster that takes its rows in small tasks, as a plan routes them, or spread evenly."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from sparkllm.backend.placement import Bucket, Plan, Serving, Workload, plan
from tests.backend.placement.public_figures import shape

CLUSTER = {"L4": 6, "A10G": 3, "A100-80": 2, "H100": 1}
TASKS = 60  # for each replica
MODEL = shape("Llama-3.1-8B", "fp16")


def workload(seed: int) -> Workload:
    random = np.random.default_rng(seed)
    sizes = random.lognormal([6.0, 3.5], [1.0, 1.0], (12, 2)).clip(8, 12_000)
    rows = random.lognormal(10, 1, 12)
    return Workload(tuple(Bucket(float(i), float(o), float(n), 0.3) for (i, o), n in zip(sizes, rows, strict=True)))


def makespan(found: Plan, shares: np.ndarray, speed: np.ndarray) -> float:
    """Hours until the last task is done: each kind has a queue of tasks, and a replica that is free takes the next.

    Args:
        shares: float64 [b, g], of the rows of a bucket.
        speed: float64 [g], of a replica, against what the plan took it for.
    """
    last = 0.0
    for g, replicas in enumerate(found.split.replicas):
        hours = np.where(shares[:, g] > 0, found.problem.work[:, g] * shares[:, g], 0.0) / speed[g]
        size = hours.sum() / (replicas * TASKS)
        tasks = [h / max(1, round(h / size)) for h in hours if h for _ in range(max(1, round(h / size)))]
        free = [0.0] * int(replicas)
        for task in np.random.default_rng(g).permutation(tasks):
            heapq.heappush(free, heapq.heappop(free) + task)
        last = max(last, *free)
    return last


@pytest.mark.parametrize("seed", range(5))
def test_a_routed_cluster_is_done_within_five_percent_of_the_bound_and_an_even_one_is_not(seed: int) -> None:
    found = plan(workload(seed), MODEL, cluster=CLUSTER, serving=Serving(start_seconds=0))
    assert isinstance(found, Plan)
    right = np.ones(len(found.kinds))
    bound = found.split.hours
    routed = makespan(found, found.split.shares, right)
    assert bound * (1 - 1e-9) <= routed <= 1.05 * bound
    replicas = found.split.replicas / found.split.replicas.sum()
    even = makespan(found, np.broadcast_to(replicas, found.split.shares.shape), right)
    assert even > 1.5 * routed
    by_speed = 1 / (found.problem.work / found.split.replicas)
    pulled = makespan(found, by_speed / by_speed.sum(axis=1, keepdims=True), right)
    assert routed < pulled


@pytest.mark.parametrize("seed", range(3))
def test_rates_that_are_a_tenth_off_cost_about_a_tenth(seed: int) -> None:
    found = plan(workload(seed), MODEL, cluster=CLUSTER, serving=Serving(start_seconds=0))
    assert isinstance(found, Plan)
    wrong = np.random.default_rng(seed).uniform(0.9, 1.1, len(found.kinds))
    assert makespan(found, found.split.shares, wrong) <= found.split.hours / 0.9 * 1.05
