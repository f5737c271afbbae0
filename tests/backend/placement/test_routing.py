"""routing(): a plan as the Catalyst extension reads it."""

from __future__ import annotations

from typing import Any

import pytest

from sparkllm.backend.placement import Bucket
from sparkllm.backend.placement.routing import routing
from sparkllm.errors import ConfigError
from tests.backend.placement.two_kinds import LONG, SHORT, measured_plan

RATES = {("L4", SHORT): 100, ("A100-80", SHORT): 100, ("L4", LONG): 1, ("A100-80", LONG): 100}
IDS, TASKS = {"L4": 3, "A100-80": 4}, {"L4": 2, "A100-80": 2}


def routed(*buckets: Bucket, cluster: dict[str, int] | None = None) -> dict[str, Any]:
    return routing(measured_plan(buckets, RATES, cluster or {"L4": 1, "A100-80": 1}), IDS, TASKS)


def test_a_bucket_goes_to_the_pools_with_the_plans_shares() -> None:
    found = routed(Bucket(SHORT, 5, 9000, most_bytes=120), Bucket(LONG, 5, 3000))
    assert [pool["name"] for pool in found["pools"]] == ["L4", "A100-80"]
    assert [(pool["profile"], pool["replicas"], pool["tasks"]) for pool in found["pools"]] == [(3, 1, 2), (4, 1, 2)]
    short, long = found["buckets"]
    assert (short["most_bytes"], long["most_bytes"]) == (120, None)
    # 60 seconds each: the A100 is done with the long rows after 30 and takes a third of the short ones
    assert short["shares"] == pytest.approx([2 / 3, 1 / 3])
    assert long["shares"] == pytest.approx([0, 1])
    assert short["seconds"] == pytest.approx([0.01, 0.01])
    assert long["seconds"] == pytest.approx([1, 0.01])


def test_buckets_that_bytes_do_not_tell_apart_are_one_with_the_shares_of_all_rows() -> None:
    found = routed(Bucket(SHORT, 5, 9000), Bucket(LONG, 5, 3000))
    (both,) = found["buckets"]
    assert both["shares"] == pytest.approx([6000 / 12_000, 6000 / 12_000])
    assert both["seconds"] == pytest.approx([0.75 * 0.01 + 0.25 * 1, 0.01])


def test_each_call_has_its_own_buckets() -> None:
    one, two = "llm('a b', x)", "llm('c d', x)"
    found = routed(
        Bucket(SHORT, 5, 900, call=one, most_bytes=9), Bucket(SHORT, 5, 900, call=two), Bucket(LONG, 5, 10, call=one)
    )
    keys = [(bucket["call"], bucket["most_bytes"]) for bucket in found["buckets"]]
    assert keys == [(one, 9), (two, None), (one, None)]


def test_the_rate_of_a_pool_is_that_of_all_its_replicas_over_the_whole_mix() -> None:
    found = routed(Bucket(SHORT, 5, 9000, most_bytes=120), Bucket(LONG, 5, 3000), cluster={"L4": 2, "A100-80": 1})
    rates = [pool["rate"] for pool in found["pools"]]
    assert rates == pytest.approx([2 * 12_000 / (9000 * 0.01 + 3000 * 1), 100])


def test_a_pool_that_some_rows_do_not_fit_has_no_rate_for_rows_of_any_size() -> None:
    """As arithmetic has it, an L4 holds no sequence of twenty million tokens."""
    found = routed(Bucket(SHORT, 5, 9000, most_bytes=120), Bucket(2 * 10**7, 5, 3))
    l4, a100 = found["pools"]
    assert found["buckets"][1]["shares"] == pytest.approx([0, 1])
    assert found["buckets"][1]["seconds"][0] is None
    assert l4["rate"] == 0 < a100["rate"]


@pytest.mark.parametrize("most_bytes", [-1, float("nan")])
def test_a_limit_of_bytes_is_a_number_of_bytes(most_bytes: float) -> None:
    with pytest.raises(ConfigError, match="most_bytes takes 0 or more"):
        Bucket(SHORT, 5, 1, most_bytes=most_bytes)
