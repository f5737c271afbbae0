"""Replan: slots move to other pools once it is known how fast each is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkllm.spark_session import _scala_object
from tests.optimizer.jvm import array

INF = float("inf")


def moved(
    session: SparkSession, seconds: list[list[float]], home: list[int], slower: list[float], replicas: list[int]
) -> list[int]:
    """The pool of each slot."""
    table = array(session, "[D", [array(session, "double", slot) for slot in seconds])
    replan = _scala_object(session, "sparkllm.catalyst.Replan")
    numbers = array(session, "int", home), array(session, "double", slower), array(session, "int", replicas)
    return list(replan.apply(table, *numbers))


def ends(seconds: list[list[float]], pools: list[int], slower: list[float], replicas: list[int]) -> float:
    """When the last pool is done."""
    takes = [0.0] * len(slower)
    for slot, pool in zip(seconds, pools, strict=True):
        takes[pool] += slot[pool] * slower[pool] / replicas[pool]
    return max(takes)


def test_nothing_moves_where_the_plan_was_right(plans: SparkSession) -> None:
    home = [0] * 8 + [1] * 8
    assert moved(plans, [[10.0, 10.0]] * 16, home, [1.3, 1.3], [1, 1]) == home


def test_a_pool_that_is_half_as_fast_gives_a_third_of_its_slots_away(plans: SparkSession) -> None:
    found = moved(plans, [[10.0, 10.0]] * 24, [0] * 12 + [1] * 12, [2.0, 1.0], [1, 1])
    assert found.count(0) == 8
    assert found[12:] == [1] * 12


def test_the_slots_that_lose_least_by_it_move(plans: SparkSession) -> None:
    """The other pool takes the first four as long as their own, and all others four times as long."""
    seconds = [[10.0, 10.0]] * 4 + [[10.0, 40.0]] * 8 + [[40.0, 10.0]] * 12
    found = moved(plans, seconds, [0] * 12 + [1] * 12, [1.5, 1.0], [1, 1])
    assert found[:4].count(1) > 0
    assert found[4:] == [0] * 8 + [1] * 12


def test_a_slot_moves_only_where_its_rows_fit(plans: SparkSession) -> None:
    seconds = [[10.0, INF]] * 6 + [[10.0, 10.0]] * 2 + [[INF, 10.0]] * 2
    found = moved(plans, seconds, [0] * 8 + [1] * 2, [5.0, 1.0], [1, 1])
    assert found == [0] * 6 + [1] * 4


def test_replicas_share_the_slots_of_a_pool(plans: SparkSession) -> None:
    home = [0] * 12 + [1] * 3
    assert moved(plans, [[10.0, 10.0]] * 15, home, [1.0, 1.0], [4, 1]) == home
    assert moved(plans, [[10.0, 10.0]] * 15, home, [1.0, 1.0], [1, 4]).count(1) == 12


@pytest.mark.parametrize("seed", range(20))
def test_the_end_is_never_later_and_near_the_earliest(plans: SparkSession, seed: int) -> None:
    random = np.random.default_rng(seed)
    seconds = random.uniform(1, 10, (7, 2)).tolist()
    home, slower, replicas = random.integers(0, 2, 7).tolist(), random.uniform(0.5, 3, 2).tolist(), [1, 2]
    found = ends(seconds, moved(plans, seconds, home, slower, replicas), slower, replicas)
    every = (ends(seconds, list(pools), slower, replicas) for pools in itertools.product(range(2), repeat=7))
    assert found <= ends(seconds, home, slower, replicas) + 1e-9
    assert found <= 1.35 * min(every)
