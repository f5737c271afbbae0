"""plan(): from tokens, a model and a catalogue to replicas, routing and a table to read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparkllm.backend.placement import (
    Bucket,
    Catalog,
    Infeasible,
    MeasuredRate,
    Plan,
    Price,
    Serving,
    Workload,
    load,
    plan,
    rate,
)  # fmt: skip
from sparkllm.errors import ConfigError
from tests.backend.placement.public_figures import shape

MODEL = shape("Llama-3.1-8B", "fp16")
BUCKETS = (Bucket(300, 20, 400_000, 0.5), Bucket(2000, 150, 60_000, 0.2), Bucket(40_000, 500, 200))
WORK = Workload(BUCKETS)
OFFERED = {"L4": 20, "A10G": 8, "A100-80": 8, "H100": 2}
EVEN = Serving(start_seconds=0)


def planned(**terms: object) -> Plan:
    found = plan(WORK, MODEL, **terms)  # type: ignore[arg-type]
    assert isinstance(found, Plan), found.explain()
    return found


def refused(**terms: object) -> Infeasible:
    found = plan(WORK, MODEL, **terms)  # type: ignore[arg-type]
    assert isinstance(found, Infeasible)
    return found


def test_a_plan_adds_up() -> None:
    found = planned(deadline=7200, available=OFFERED)
    assert found.seconds <= 7200 * (1 + 1e-6)
    assert sum(found.rows.values()) == pytest.approx(WORK.rows)
    assert all(sum(shares.values()) == pytest.approx(1) for shares in found.routing)
    assert all(found.gpus[gpu] <= OFFERED[gpu] for gpu in found.gpus)
    assert all(0 < busy <= 1 + 1e-6 for busy in found.utilisation.values())
    assert max(found.utilisation.values()) == pytest.approx(1)
    kinds = {kind.name: kind for kind in found.kinds}
    usd = 0.0
    for name, count in found.replicas.items():
        seconds = [
            shares.get(name, 0) * bucket.rows / rate(kinds[name], MODEL, bucket, Serving())
            for bucket, shares in zip(BUCKETS, found.routing, strict=True)
            if shares.get(name)
        ]
        assert sum(seconds) <= count * (found.seconds - Serving().start_seconds) * (1 + 1e-6)
        usd += kinds[name].usd_per_hour * (sum(seconds) + count * Serving().start_seconds) / 3600
    assert found.usd == pytest.approx(usd)


def test_rows_that_do_not_fit_a_type_go_elsewhere() -> None:
    found = planned(deadline=7200, available={"L4": 40, "H100": 4})
    assert rate(found.kinds[0], MODEL, BUCKETS[2], Serving()) == 0
    assert "L4" not in found.routing[2]


def test_a_budget_is_spent_on_time_and_a_deadline_on_money() -> None:
    slow = planned(deadline=5 * 3600, available=OFFERED)
    fast = planned(objective="time", budget=1.5 * slow.usd, available=OFFERED)
    faster = planned(objective="time", budget=3 * slow.usd, available=OFFERED)
    assert faster.seconds <= fast.seconds < slow.seconds
    assert slow.usd <= fast.usd <= 1.5 * slow.usd * (1 + 1e-6)


def test_a_cluster_that_is_there_is_shared_out_so_that_all_end_together() -> None:
    found = planned(cluster={"L4": 4, "2xA100-80": 1, "H100": 1}, serving=EVEN)
    assert found.replicas == {"L4": 4, "2xA100-80": 1, "H100": 1}
    assert all(busy == pytest.approx(1, abs=1e-6) for busy in found.utilisation.values())
    rates = np.array([[rate(kind, MODEL, bucket, EVEN) for kind in found.kinds] for bucket in BUCKETS])
    counts = np.array([4, 1, 1])
    # Rows shared out by speed, bucket by bucket: what a pull without knowledge of the buckets comes to at best.
    rows = np.array([bucket.rows for bucket in BUCKETS])
    by_speed = rows / (rates * counts).sum(axis=1)
    assert found.seconds < by_speed.sum()


@pytest.mark.parametrize(
    ("terms", "constraint", "deadline", "budget"),
    [
        ({"deadline": 3600, "available": {"L4": 8}}, "available", True, False),
        ({"deadline": 100}, "deadline", True, False),
        ({"deadline": 7200, "budget": 1.0}, "budget", False, True),
        ({"objective": "time", "budget": 1.0}, "budget", False, True),
        ({"available": {"L4": 1}}, "available", False, False),
        ({"cluster": {"L4": 3}}, "memory", False, False),
        ({"cluster": {"H100": 1}, "deadline": 1000}, "available", True, False),
        ({"cluster": {"H100": 1}, "budget": 0.5}, "budget", False, True),
        ({"deadline": 7200, "billing": "held", "budget": 2.0}, "budget", False, True),
    ],
)  # fmt: skip
def test_an_impossible_plan_says_what_binds_and_what_would_do(
    terms: dict, constraint: str, deadline: bool, budget: bool
) -> None:
    found = refused(**terms)
    assert not found.feasible
    assert found.constraint == constraint, found.explain()
    assert (found.nearest_deadline is not None, found.nearest_budget is not None) == (deadline, budget)
    assert found.explain().startswith("No placement: ")
    nearest = {}
    if found.nearest_deadline is not None:
        nearest["deadline"] = 1.001 * found.nearest_deadline
    if found.nearest_budget is not None:
        nearest["budget"] = 1.001 * found.nearest_budget
    if nearest:
        assert planned(**{**terms, **nearest}).feasible


def test_the_table_shows_the_plan_beside_each_type_alone() -> None:
    found = planned(deadline=7200, available=OFFERED)
    lines = found.explain().splitlines()
    assert lines[0].startswith("460,200 rows by Llama-3.1-8B: cheapest, done in 2.00 h")
    mine = next(line for line in lines if line.startswith("this plan"))
    assert f"{found.usd:,.2f}" in mine
    alone = {one.gpu: one for one in found.alternatives()}
    assert set(alone) == set(OFFERED)
    for gpu, one in alone.items():
        line = next(line for line in lines if line.startswith(f"only {gpu} "))
        assert one.reason in line if one.reason else f"{one.usd:,.2f}" in line
        assert not one.usd < found.usd * (1 - 1e-6)
    assert any(line.startswith("speed from the data sheet alone") and "A10G, L4" in line for line in lines)
    assert max(map(len, lines)) <= 120


def test_of_many_buckets_the_table_shows_the_largest() -> None:
    many = Workload(tuple(Bucket(100 + i, 20, 1000 + i) for i in range(30)))
    said = plan(many, MODEL, deadline=7200, available=OFFERED).explain()
    assert "129 + 20 tokens  1,029" in said
    assert "100 + 20 tokens" not in said
    assert f"and 18 smaller buckets with {sum(range(1000, 1018)):,} rows" in said


def test_the_references_example_comes_out_of_the_whole_way() -> None:
    """Its rates as measured rows of types with its prices, held for the hour: $4.68."""
    builtin = load().gpus
    priced = {"A10G": 1.01, "A100-80": 3.67}
    gpus = {
        name: replace(builtin[name], per_host=1, price=Price(usd, "example", "2024")) for name, usd in priced.items()
    }
    sizes, seen = [(20, 20), (20, 200), (200, 20), (200, 200)], {"A10G": [2, 1, 5, 2], "A100-80": [20, 20, 40, 20]}
    measured = tuple(
        MeasuredRate(MODEL.name, gpu, *size, rows_per_second=r)
        for gpu, rates in seen.items()
        for size, r in zip(sizes, rates, strict=True)
    )
    rows = [3600 * 30 * share for share in (0.2, 0.1, 0.5, 0.2)]
    work = Workload(tuple(Bucket(*size, n) for size, n in zip(sizes, rows, strict=True)))
    found = plan(work, MODEL, Catalog(gpus, measured), deadline=3600, billing="held", serving=EVEN)
    assert isinstance(found, Plan)
    assert found.usd == pytest.approx(4.68)
    assert found.replicas == {"A10G": 1, "A100-80": 1}


def test_a_bucket_without_rows_changes_nothing() -> None:
    empty = Workload((*BUCKETS, Bucket(10_000_000, 10, 0)))
    found = plan(empty, MODEL, deadline=7200, available=OFFERED)
    assert isinstance(found, Plan)
    assert found.usd == pytest.approx(planned(deadline=7200, available=OFFERED).usd)
    assert found.workload == WORK


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"objective": "speed"}, "objective takes cost or time"),
        ({"objective": "time"}, "give a budget or `available`"),
        ({"billing": "held"}, "takes objective='cost' and a deadline"),
        ({"deadline": -1}, "deadline takes a number above 0"),
        ({"budget": float("nan")}, "budget takes a number above 0"),
        ({"available": {"L4": -1}}, "takes GPUs, 0 or more"),
        ({"available": {}}, "no GPU type to plan with"),
        ({"cluster": {"L4": 0}}, "takes replicas, 1 or more"),
        ({"cluster": {"4L4": 1}}, "such as L4 or 2xL4"),
        ({"cluster": {"L4": 1}, "available": {"L4": 1}}, "counted and paid as it is"),
        ({"cluster": {"L4": 1}, "deadline": 9, "billing": "held"}, "counted and paid as it is"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(terms: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(WORK, MODEL, **terms)


@pytest.mark.parametrize("bucket", [(0, 1, 1, 0), (1, -1, 1, 0), (1, 1, -1, 0), (1, 1, 1, 1), (1, 1, float("inf"), 0)])
def test_a_bucket_that_cannot_be_is_refused(bucket: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match="a bucket's"):
        Bucket(*bucket)
