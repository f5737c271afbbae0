"""Replan: slots move to other pools once it is known how fast each is."""

from __future__ import annotations

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


def earliest(takes: np.ndarray) -> tuple[list[int], float]:
    """The best pools of all, of two, and when they end; [slot, pool] seconds."""
    every = np.arange(2 ** len(takes))[:, None] >> np.arange(len(takes)) & 1
    ends = np.maximum(((1 - every) * takes[:, 0]).sum(axis=1), (every * takes[:, 1]).sum(axis=1))
    return every[ends.argmin()].tolist(), float(ends.min())


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
def test_what_was_best_by_the_plan_becomes_nearly_the_best_by_what_is_known(plans: SparkSession, seed: int) -> None:
    random = np.random.default_rng(seed)
    seconds, slower, replicas = random.uniform(1, 10, (12, 2)), random.uniform(0.5, 3, 2), [1, 2]
    home = earliest(seconds / replicas)[0]
    takes = seconds * slower / replicas
    found = moved(plans, seconds.tolist(), home, slower.tolist(), replicas)
    ends = [sum(takes[slot, pool] for slot in range(12) if found[slot] == pool) for pool in range(2)]
    assert max(ends) <= 1.1 * earliest(takes)[1]
