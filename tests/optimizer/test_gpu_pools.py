"""Under a placement, on a real standalone cluster with made-up GPUs: every row is asked where the plan has it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.optimizer.gpu_pools import A100, L4, ROWS

WHOLE = pytest.mark.parametrize("query", ["two pools", "not adaptive", "two calls", "other speed", "killed"])
Found = dict[str, Any]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, str]:
    """What the queries came to, and what the driver said."""
    command = [sys.executable, "-m", "tests.optimizer.gpu_pools", str(tmp_path_factory.mktemp("gpus"))]
    folder = Path(__file__).parents[2]
    out = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert out.returncode == 0, out.stderr[-6000:]
    print(out.stdout)
    return json.loads(out.stdout.splitlines()[-1]), out.stderr


@pytest.fixture(scope="module")
def found(ran: tuple[Found, str]) -> Found:
    return ran[0]


@WHOLE
def test_every_row_has_its_own_answer_once(found: Found, query: str) -> None:
    assert found[query]["rows"] == ROWS
    assert found[query]["ids"]
    assert found[query]["right"]


@WHOLE
def test_every_row_is_asked_on_a_planned_gpu_and_long_ones_on_theirs(found: Found, query: str) -> None:
    assert set(found[query]["resources"]) == {L4, A100}
    assert found[query]["long_on"] == [A100]


@WHOLE
def test_a_stage_that_asks_runs_on_executors_of_one_pool_alone(found: Found, query: str) -> None:
    """As Spark's status has it: stage, tasks, executors, resource profiles."""
    stages = found[query]["stages"]
    assert all(stage["ran_on"] in ([L4], [A100]) for stage in stages if stage["tasks"])
    assert {stage["ran_on"][0] for stage in stages if stage["tasks"]} == {L4, A100}


@pytest.mark.parametrize("query", ["two pools", "not adaptive", "two calls"])
def test_the_split_is_the_plans(found: Found, query: str) -> None:
    """Of the short rows two thirds are for the L4, half of all; none has another prompt's data."""
    assert found[query]["resources"][L4] == pytest.approx(ROWS / 2, rel=0.1)
    assert all(sum(pools.values()) == ROWS for pools in found[query]["pools"])
    assert found[query]["pools"][0]["L4"] == found[query]["resources"][L4]
    assert found[query]["slots"] >= 40


def test_calls_on_the_same_rows_share_their_stage(found: Found) -> None:
    assert len(found["two calls"]["pools"]) == 2
    assert found["two calls"]["rows in two stages"] == 0


def test_rows_that_nobody_placed_are_dealt_to_planned_gpus(found: Found) -> None:
    assert found["small"]["rows"] == 40
    assert found["small"]["right"]
    assert "KeyedRows" not in found["small"]["plan"]
    assert set(found["small"]["resources"]) <= {L4, A100}


def test_a_limit_asks_few_rows_on_one_gpu_type(found: Found) -> None:
    assert found["limit"]["rows"] == 5
    assert found["limit"]["right"]
    assert set(found["limit"]["resources"]) == {A100}
    assert sum(found["limit"]["pools"][0].values()) < ROWS / 10


def test_slots_move_away_from_a_pool_that_is_slower_than_planned(found: Found) -> None:
    """The L4 takes four times as long as planned: it has a fifth of the rows in the end, and none is asked twice."""
    pools = found["other speed"]["pools"][0]
    assert sum(pools.values()) == ROWS
    assert pools["L4"] == pytest.approx(ROWS / 5, rel=0.3)


def test_a_killed_workers_rows_are_asked_on_another_with_its_gpu(found: Found) -> None:
    assert found["killed"]["killed_after"] > 0


def test_the_engine_answers_every_row_and_is_one_for_both_executors(found: Found) -> None:
    pytest.importorskip("vllm")
    engine = found["engine"]
    assert (engine["rows"], engine["answered"], engine["ids"]) == (1200, 1200, True)
    assert engine["equal"] == 1200  # as without a plan
    assert sum(engine["pools"].values()) == 1200
    assert min(engine["pools"].values()) > 0
    assert engine["engines"] == 1
    assert "rows on L4" in engine["report"]


def test_a_pool_without_any_worker_is_named_and_the_query_can_be_cancelled(ran: tuple[Found, str]) -> None:
    assert ran[0]["waits"]["ended"]
    assert "the tasks of pool L4 wait" in ran[1]
