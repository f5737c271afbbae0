"""The solver against trying everything, and what every placement must keep to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparkllm.backend.placement import Bucket, ReplicaKind, load
from sparkllm.backend.placement.cheapest import cheapest
from sparkllm.backend.placement.earliest import earliest
from sparkllm.backend.placement.infeasible import why
from sparkllm.backend.placement.problem import HELD, RELEASED, Problem
from sparkllm.backend.placement.replica_kinds import undominated
from sparkllm.backend.placement.search import soonest
from sparkllm.backend.placement.solve import solve
from sparkllm.backend.placement.terms import TIME, Terms
from tests.backend.placement.small_problems import cheapest_by_trying, check, earliest_by_trying, problems

deadlines = st.sampled_from([0.2, 0.7, 1.5, 4.0])
NEAR = 2e-4
EDGE = 1e-4  # work that fills its replicas to the last digit may count as fitting or not, by the solver's tolerance


def made(work: list[list[float]], usd: list[float], available: list[float] | None = None) -> Problem:
    """One GPU to a replica, a type to a kind, no start."""
    kinds = len(usd)
    limits = np.full(kinds, np.inf) if available is None else np.array(available)
    ones = np.ones(kinds, dtype=np.int64)
    return Problem(np.array(work), np.array(usd), np.zeros(kinds), ones, np.arange(kinds), limits)


@settings(max_examples=60, deadline=None)
@given(problems(), deadlines, st.sampled_from([RELEASED, HELD]))
def test_no_number_of_replicas_is_cheaper(problem: Problem, deadline: float, billing: str) -> None:
    assume(problem.most(deadline).max() <= 8)
    found, least = cheapest(problem, deadline, billing), cheapest_by_trying(problem, deadline * (1 + EDGE), billing)
    best = cheapest_by_trying(problem, deadline * (1 - EDGE), billing)
    if found is None:
        assert best == float("inf")
        return
    check(problem, found)
    assert least * (1 - NEAR) - 1e-5 <= found.usd <= best * (1 + NEAR) + 1e-5
    assert found.hours <= deadline * (1 + 1e-5)
    hours = found.busy(problem) + found.replicas * problem.start
    assert found.usd == pytest.approx(problem.usd @ (found.replicas * deadline if billing == HELD else hours), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(problems(most_kinds=2), st.floats(1.0, 20.0))
def test_no_number_of_replicas_is_done_sooner_for_the_budget(problem: Problem, budget: float) -> None:
    problem = replace(problem, available=np.minimum(problem.available, 4.0))
    less = budget * (1 - EDGE)
    found, best = soonest(problem, budget), earliest_by_trying(problem, problem.horizon, less)
    more = earliest_by_trying(problem, 0.35, less)  # with as many replicas as there are
    if found is None:
        assert min(best, more) == float("inf")
        return
    check(problem, found)
    assert found.usd <= budget * (1 + 1e-6)
    assert found.hours <= min(best, more) * 1.002 + 1e-6


@settings(max_examples=60, deadline=None)
@given(problems(), st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_on_given_replicas_no_split_is_done_sooner(problem: Problem, counts: list[int]) -> None:
    """The integer program, given these replicas and no others, finds nothing that is half a percent sooner."""
    problem = replace(problem, available=np.full_like(problem.available, np.inf))
    replicas = np.array(counts[: len(problem.usd)])
    found = earliest(problem, replicas)
    if found is None:
        served = np.isfinite(problem.work[:, replicas > 0]).any(axis=1)
        assert not served.all()
        return
    check(problem, found)
    fixed = replace(problem, available=replicas * problem.gpus * 1.0, types=np.arange(len(replicas)))
    assert cheapest(fixed, found.hours * 0.995) is None


@settings(max_examples=40, deadline=None)
@given(problems(), deadlines)
def test_more_time_and_more_gpus_never_cost_more(problem: Problem, deadline: float) -> None:
    found = cheapest(problem, deadline)
    assume(found is not None)
    assert found is not None
    later = cheapest(problem, 2 * deadline)
    more = cheapest(replace(problem, available=2 * problem.available), deadline)
    for other in (later, more):
        assert other is not None
        assert other.usd <= found.usd * (1 + NEAR) + 1e-6


@settings(max_examples=40, deadline=None)
@given(problems(), deadlines)
def test_no_type_alone_is_cheaper(problem: Problem, deadline: float) -> None:
    found = cheapest(problem, deadline)
    for kind in set(problem.types):
        alone = cheapest(problem.only(problem.types == kind), deadline)
        if alone is not None:
            assert found is not None
            assert found.usd <= alone.usd * (1 + NEAR) + 1e-6


@settings(max_examples=40, deadline=None)
@given(problems(), st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from([None, 0.5, 3.0]))
def test_what_is_named_as_nearest_is_feasible_and_nothing_nearer(
    problem: Problem, deadline: float, budget: float | None
) -> None:
    buckets = tuple(Bucket(10, 10, 1) for _ in problem.work)
    terms = Terms(deadline=3600 * deadline, budget=budget)
    assume(solve(problem, terms) is None)
    reason = why(problem, terms, buckets)
    assert reason.message
    if reason.constraint in ("memory", "available") and reason.buckets:
        assert len(problem.homeless)
        return
    if reason.nearest_deadline is not None:
        near = 1.0001 * reason.nearest_deadline
        assert solve(problem, Terms(deadline=near, budget=budget)) is not None
        assert solve(problem, Terms(deadline=0.99 * reason.nearest_deadline, budget=budget)) is None
    if reason.nearest_budget is not None:
        assert reason.constraint == "budget"
        assert solve(problem, Terms(deadline=3600 * deadline, budget=1.001 * reason.nearest_budget)) is not None
        assert solve(problem, Terms(deadline=3600 * deadline, budget=0.99 * reason.nearest_budget)) is None


def test_a_bucket_that_a_type_cannot_take_goes_to_another() -> None:
    """Where the reference divides by zero."""
    problem = made([[1.0, 4.0], [np.inf, 2.0]], [1.0, 3.0])
    found = cheapest(problem, 1.0, HELD)
    assert found is not None
    assert found.shares.tolist() == [[1, 0], [0, 1]]
    assert found.replicas.tolist() == [1, 2]


def test_a_bucket_that_no_type_takes_is_a_reason_and_no_error() -> None:
    problem = made([[1.0, 4.0], [np.inf, np.inf]], [1.0, 3.0])
    assert cheapest(problem, 1.0) is None
    reason = why(problem, Terms(deadline=3600), (Bucket(10, 10, 5), Bucket(99, 1, 7)))
    assert (reason.constraint, reason.buckets) == ("memory", (Bucket(99, 1, 7),))
    assert reason.explain() == (
        "No placement: 7 rows, the longest of 99 + 1 tokens, fit on none of the GPUs together with the model"
    )


def test_which_limit_binds_is_told() -> None:
    buckets, problem = (Bucket(10, 10, 5),), made([[4.0, 4.0]], [1.0, 3.0], [2.0, 0.0])
    late = why(problem, Terms(deadline=3600), buckets)
    assert (late.constraint, late.nearest_deadline) == ("available", pytest.approx(7200, rel=2e-3))
    assert "with more of them it would cost $4.00" in late.message
    poor = why(problem, Terms(deadline=3 * 3600, budget=3.0), buckets)
    assert (poor.constraint, poor.nearest_budget, poor.nearest_deadline) == ("budget", pytest.approx(4.0), None)
    slow = why(replace(made([[4.0]], [1.0]), start=np.array([2.0])), Terms(deadline=3600), buckets)
    assert slow.constraint == "deadline"
    assert slow.nearest_deadline == pytest.approx(7200, rel=2e-2)


def test_a_grain_of_work_does_not_hide_the_best_placement() -> None:
    """HiGHS's presolve loses it where a number is below its tolerance: $1.50 for $0.75."""
    problem = made([[np.inf, 0.5, 0.5], [0.5, 1e-9, 1e-6], [0.5, 1e-9, 0.25]], [1.0, 0.5, 1.0])
    found = cheapest(problem, 1.5, HELD)
    assert found is not None
    assert (found.usd, found.replicas.tolist()) == (pytest.approx(0.75), [0, 1, 0])


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e4])
def test_seconds_and_years_are_placed_alike(scale: float) -> None:
    problem = made([[1.0, 2.0], [3.0, 2.0], [np.inf, 1e-4]], [1.0, 2.5])
    scaled = replace(problem, work=problem.work * scale)
    found, other = cheapest(problem, 1.0), cheapest(scaled, scale)
    assert found is not None
    assert other is not None
    assert other.replicas.tolist() == found.replicas.tolist()
    assert (other.usd, other.hours) == pytest.approx((scale * found.usd, scale * found.hours), rel=1e-5)


def test_no_more_replicas_are_taken_than_the_work_needs() -> None:
    """Though one more would cost nothing where replicas start at once and are paid by the minute."""
    problem = made([[10.0, np.inf], [20.0, 1.0]], [1.0, 1.0])
    found = cheapest(problem, 4.0)
    assert found is not None
    assert found.replicas.tolist() == [3, 1]


def test_only_kinds_that_are_never_better_are_left_out() -> None:
    """Two GPUs together are slower than apart for short rows, and all that takes the long ones."""
    l4 = load().gpus["L4"]
    kinds = (ReplicaKind(l4), ReplicaKind(l4, 2), ReplicaKind(l4, 4), ReplicaKind(load().gpus["H100"]))
    rates = np.array([[3.0, 5.0, 9.0, 2.0], [0.0, 1.0, 2.0, 0.0]])
    assert undominated(kinds, rates).tolist() == [0, 1, 3]
    assert undominated(kinds, rates * [1, 1, 1, 0]).tolist() == [0, 1]


def test_a_replica_that_starts_late_holds_nobody_up() -> None:
    problem = replace(made([[1.0, 1.0]], [1.0, 1.0]), start=np.array([0.0, 9.0]))
    found = earliest(problem, np.array([1, 5]))
    assert found is not None
    assert (found.hours, found.replicas.tolist()) == (1.0, [1, 0])


def test_the_fastest_for_a_budget_spends_it_on_starts() -> None:
    """Ten hours of work at $1 and starts of six minutes: $13 pay 30 of them, done after 10/30 + 0.1 hours."""
    problem = replace(made([[10.0]], [1.0]), start=np.array([0.1]))
    found = solve(problem, Terms(objective=TIME, budget=13.0))
    assert found is not None
    assert found.replicas.tolist() == [30]
    assert found.hours == pytest.approx(10 / 30 + 0.1, rel=2e-3)
