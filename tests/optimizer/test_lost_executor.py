"""A lost executor: what it held is computed again, in the same places, and nothing else is asked a second time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.optimizer.lost_executor import DISTINCT, ROWS

# where the executor was killed
LOST = pytest.mark.parametrize("where", ["first pass", "second pass", "call", "call over a function"])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.optimizer.lost_executor", str(tmp_path_factory.mktemp("lost"))]
    folder = Path(__file__).parents[2]
    out = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert out.returncode == 0, out.stderr[-4000:]
    print(out.stdout)
    result: dict[str, dict[str, Any]] = json.loads(out.stdout.splitlines()[-1])
    return result


@LOST
def test_the_executor_was_killed_in_a_co_located_query(found: dict[str, dict[str, Any]], where: str) -> None:
    assert found[where]["killed"]
    assert found[where]["placed"]


@LOST
def test_every_row_has_its_own_answer_once(found: dict[str, dict[str, Any]], where: str) -> None:
    assert found[where]["rows"] == ROWS
    assert found[where]["ids"]
    assert found[where]["right"]


@LOST
def test_equal_prompts_meet_in_one_task_and_do_so_again(found: dict[str, dict[str, Any]], where: str) -> None:
    assert found[where]["tasks_of_a_prompt"] == 1
    assert found[where]["tasks_ever_of_a_prompt"] == 1


@LOST
def test_only_what_was_lost_is_asked_again(found: dict[str, dict[str, Any]], where: str) -> None:
    assert found[where]["distinct"] == DISTINCT
    assert DISTINCT <= found[where]["requests"] <= DISTINCT + found[where]["requests_lost"]
