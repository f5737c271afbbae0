"""Which slot a row takes under a placement: its pool by its bytes and prefix, then a range of about equal time."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sparkllm.spark_session import _scala_object
from tests.optimizer.jvm import array, instance, seq

ROWS, SHORT, LONG = 1200, 100, 900
PER_TASK = 16
Row = tuple[bytes, int, bytes]  # key, bytes, leading field

POOLS: list[dict[str, Any]] = [
    {"name": "L4", "profile": 1, "replicas": 2, "tasks": 2, "rate": 30},
    {"name": "A100-80", "profile": 2, "replicas": 1, "tasks": 1, "rate": 90},
]
SPLIT: dict[str, Any] = {"call": "", "most_bytes": SHORT, "shares": [0.6, 0.4], "seconds": [0.1, 0.05]}
WHOLE: dict[str, Any] = {"call": "", "most_bytes": None, "shares": [0.0, 1.0], "seconds": [None, 0.5]}
SAMPLES: dict[tuple[Row, ...], Any] = {}


@pytest.fixture(scope="module")
def session(plans: SparkSession) -> SparkSession:
    return plans


def rows(groups: int, count: int = ROWS, long: bool = True) -> list[Row]:
    """In the global order: by group, then by number; one in four is long."""
    found = []
    for i in range(count):
        leading = b"group %04d" % (i * groups // count)
        found.append((b"\x01" + leading + b"\x00%06d" % i, LONG if long and i % 4 == 0 else SHORT, leading))
    return found


def pools(session: SparkSession, buckets: list[dict[str, Any]], call: str = "llm('a b', x)") -> Any:
    placement = json.dumps({"pools": POOLS, "buckets": buckets})
    return _scala_object(session, "sparkllm.catalyst.Pools").read(placement, call, 0)


def cut(session: SparkSession, buckets: list[dict[str, Any]], sample: list[Row], distinct: int) -> Any:
    key = tuple(sample)
    if key not in SAMPLES:  # a thousand objects, each made by several calls into the JVM
        made = [instance(session, "SampledRow", key, size, seq(session, [0]), group) for key, size, group in sample]
        SAMPLES[key] = array(session, "sparkllm.catalyst.SampledRow", made)
    return _scala_object(session, "sparkllm.catalyst.PoolRanges").cut(pools(session, buckets), SAMPLES[key], distinct)


def test_long_rows_go_to_their_pool_and_short_ones_are_split_as_planned(session: SparkSession) -> None:
    sample = rows(groups=300)
    ranges = cut(session, [SPLIT, WHOLE], sample, 100_000)
    went = Counter((size, ranges.pool(key, size)) for key, size, _ in sample)
    assert went[LONG, 0] == 0
    assert went[LONG, 1] == ROWS / 4
    assert went[SHORT, 0] == pytest.approx(0.6 * ROWS * 3 / 4, rel=0.06)


def test_a_prefix_stays_in_one_pool_where_groups_are_small(session: SparkSession) -> None:
    sample = rows(groups=40, count=400, long=False)
    ranges = cut(session, [SPLIT, WHOLE], sample, 100_000)
    pools_of = defaultdict(set)
    for key, size, leading in sample:
        pools_of[leading].add(ranges.pool(key, size))
    assert {len(found) for found in pools_of.values()} == {1}
    assert sum(found == {0} for found in pools_of.values()) == 24


def test_one_prefix_of_all_rows_is_cut_once(session: SparkSession) -> None:
    """Else one pool would have all the work, as with a hash of the prefix."""
    sample = rows(groups=1, count=400, long=False)
    ranges = cut(session, [SPLIT, WHOLE], sample, 100_000)
    order = [ranges.pool(key, size) for key, size, _ in sample]
    assert order == sorted(order)
    assert order.count(0) == pytest.approx(0.6 * 400, rel=0.01)


def test_the_slots_of_a_pool_are_contiguous_and_take_about_as_long(session: SparkSession) -> None:
    sample = rows(groups=300)
    ranges = cut(session, [SPLIT, WHOLE], sample, 100_000)
    seconds: dict[int, dict[int, float]] = {0: defaultdict(float), 1: defaultdict(float)}
    for key, size, _ in sample:
        pool = ranges.pool(key, size)
        seconds[pool][ranges.slot(key, size)] += [[0.1, 0.05], [0, 0.5]][size == LONG][pool]
    assert set(seconds[0]) == set(range(2 * 2 * PER_TASK))
    assert set(seconds[1]) == set(range(2 * 2 * PER_TASK, (2 * 2 + 1) * PER_TASK))
    for pool, most in ((0, 1.5), (1, 1.25)):  # a slot of the first has seven rows of this sample
        times = seconds[pool].values()
        assert max(times) <= most * sum(times) / len(times)


def test_what_is_planned_for_a_slot_is_the_time_of_its_rows_on_each_pool(session: SparkSession) -> None:
    ranges = cut(session, [SPLIT, WHOLE], rows(groups=300), 2 * ROWS)
    planned = [list(slot) for slot in ranges.planned()]
    assert sum(slot[1] for slot in planned) == pytest.approx(2 * (900 * 0.05 + 300 * 0.5))
    assert sum(slot[0] for slot in planned[: 4 * PER_TASK]) == pytest.approx(2 * 0.6 * 900 * 0.1, rel=0.05)
    assert all(slot[0] == float("inf") for slot in planned[4 * PER_TASK :] if slot[1] > 1)


def test_few_rows_leave_slots_empty(session: SparkSession) -> None:
    sample = rows(groups=300)
    ranges = cut(session, [SPLIT, WHOLE], sample, ROWS)
    slots = {ranges.slot(key, size) for key, size, _ in sample}
    assert len(slots) == 540 // 128 + 660 // 128


def test_rows_longer_than_any_in_the_plan_go_with_the_longest(session: SparkSession) -> None:
    ranges = cut(session, [SPLIT, {**WHOLE, "most_bytes": LONG}], rows(groups=300), 100_000)
    assert ranges.pool(b"\x01group", 10 * LONG) == 1


def test_a_call_has_its_own_buckets_and_an_unknown_one_goes_by_rates(session: SparkSession) -> None:
    buckets = [{**WHOLE, "call": "llm('a b', x)"}, {**SPLIT, "call": "llm('c d', x)"}]
    shares = [
        [
            list(map(float, str(b.shares().mkString(" ")).split()))
            for b in seq_items(pools(session, buckets, call).buckets())
        ]
        for call in ("llm('a b', x)", "llm('c d', x)", "llm('e f', x)")
    ]
    assert shares == [[[0.0, 1.0]], [[0.6, 0.4]], [[0.25, 0.75]]]


def test_partitions_that_nobody_has_placed_are_dealt_by_rates(session: SparkSession) -> None:
    found = pools(session, [SPLIT, WHOLE])
    assert [list(seq_items(found.dealt(n))) for n in (1, 2, 8)] == [[1], [0, 1], [0, 0, 1, 1, 1, 1, 1, 1]]


def seq_items(scala: Any) -> list[Any]:
    return [scala.apply(i) for i in range(scala.size())]
