"""Going through numbers of replicas against the whole integer program: the same costs, and the same answer to whether
there is a placement."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.placement_instances import Instance, catalogued_instance, random_instance
from sparkllm.backend.placement import cheapest as module
from sparkllm.backend.placement.benders import benders
from sparkllm.backend.placement.cheapest import cheapest
from sparkllm.backend.placement.cuts import Cuts
from sparkllm.backend.placement.lattice import UndecidedError, lattice
from sparkllm.backend.placement.master import Master
from sparkllm.backend.placement.problem import HELD, RELEASED, Problem
from sparkllm.backend.placement.subproblem import scarcity, tried
from tests.backend.placement.small_problems import check

GAP = 2e-6  # each of the two to a relative 1e-6
LESS = 2e-5  # the integer program's tolerances lose more where little is paid


def some_problem(seed: int) -> Problem:
    """One to twelve buckets and one to six kinds, of fewer types; some limited, some that start late, some that take
    few buckets; for an hour, a fraction of a replica to eighty of them."""
    random = np.random.default_rng(seed)
    b, g = int(random.integers(1, 13)), int(random.integers(1, 7))
    usd = random.uniform(0.5, 7.0, g)
    work = random.lognormal(0, 1.2, b)[:, None] * random.uniform(0.5, 2.0, (b, g)) / usd ** random.uniform(0.7, 1.2)
    work[random.random((b, g)) < random.choice([0.0, 0.2, 0.6])] = np.inf
    work[np.arange(b), random.integers(0, g, b)] = random.lognormal(0, 1.0, b)  # each bucket fits on one at least
    work *= random.choice([0.3, 3.0, 20.0, 80.0]) / work.min(axis=1).sum()
    limits = np.where(random.random(g) < random.choice([0.0, 0.5, 1.0]), random.integers(0, 12, g), np.inf)
    start = random.choice([0.0, 0.05, 0.3], g) * (random.random() < 0.5)
    return Problem(work, usd, start, random.choice([1, 2, 4], g), random.integers(0, g, g), limits)


def by_integer_program(monkeypatch: pytest.MonkeyPatch, problem: Problem, deadline: float, billing: str) -> float:
    def undecided(master: Master) -> None:
        raise UndecidedError

    with monkeypatch.context() as patched:
        patched.setattr(module, "benders", undecided)
        found = cheapest(problem, deadline, billing)
    return np.inf if found is None else found.usd


@pytest.mark.parametrize("billing", [HELD, RELEASED])
def test_the_cost_is_that_of_the_integer_program(billing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    infeasible = 0
    for seed in range(70):
        problem = some_problem(seed)
        found, usd = cheapest(problem, 1.0, billing), by_integer_program(monkeypatch, problem, 1.0, billing)
        infeasible += found is None
        if found is None:
            assert usd == np.inf, seed
            continue
        check(problem, found)
        assert found.hours <= 1 + 1e-5
        assert usd * (1 - LESS) <= found.usd <= usd * (1 + GAP), seed
    assert 7 <= infeasible <= 40


@pytest.mark.parametrize("instance", [catalogued_instance, random_instance])
def test_of_many_buckets_the_cost_is_that_of_the_integer_program(
    instance: Callable[[int], Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(1000, 1005):
        problem = instance(seed).problem(start=0.1, available=40)
        for billing in (HELD, RELEASED):
            found, usd = cheapest(problem, 1.0, billing), by_integer_program(monkeypatch, problem, 1.0, billing)
            cost = np.inf if found is None else found.usd
            assert cost == pytest.approx(usd, rel=LESS), seed
            assert cost <= usd * (1 + GAP), seed


@pytest.mark.parametrize("billing", [HELD, RELEASED])
def test_no_price_rules_out_replicas_that_do_the_work(billing: str) -> None:
    allowed = 0
    for seed in range(30):
        problem = some_problem(seed)
        problem = problem.only(np.flatnonzero(problem.most(1.0) > 0))
        if len(problem.homeless):
            continue
        master, random = Master.of(problem, 1.0, billing), np.random.default_rng(seed)
        rent = scarcity(master)
        if rent is None:
            continue
        cuts = Cuts(master, rent)
        for replicas in random.integers(0, master.most + 1, (8, len(master.most))).astype(float):
            if not (np.isfinite(master.loads) & (replicas > 0)).any(axis=1).all():
                continue
            found = tried(master, replicas)
            if found.usd < np.inf and (master.gpus @ replicas <= master.available).all():
                allowed += 1
                normals, least = cuts.half_spaces(found.usd * (1 + GAP))
                assert (normals @ replicas >= least - 1e-6 * found.usd).all()
                assert cuts.least * (1 - LESS) <= cuts.bound(replicas[None])[0] <= found.usd * (1 + GAP)
            cuts.learn(found.prices[None], paid=master.released and found.usd < np.inf)
    assert allowed > 30


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_the_lattice_holds_the_points_that_trying_all_finds(seed: int, kinds: int, half_spaces: int) -> None:
    random = np.random.default_rng(seed)
    low = random.integers(0, 3, kinds).astype(float)
    high = low + random.integers(-1, 4, kinds)
    normals = random.integers(-2, 3, (half_spaces, kinds)).astype(float)
    least = random.uniform(-8, 4, half_spaces)
    ranges = [range(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)]
    wanted = [point for point in itertools.product(*ranges) if (normals @ np.array(point) >= least).all()]
    assert sorted(map(tuple, lattice(low, high, normals, least).tolist())) == wanted


def test_where_there_are_too_many_numbers_of_replicas_the_integer_program_decides() -> None:
    problem = random_instance(1, buckets=(5, 5), types=(9, 9)).problem(available=3000.0)
    problem = replace(problem, work=problem.work * 1000)
    with pytest.raises(UndecidedError):
        benders(Master.of(problem, 1.0, HELD))
    found = cheapest(problem, 1.0, HELD)
    assert found is not None
    check(problem, found)
