"""Two executors on one host and their shared engine: nothing is paid twice, and one budget holds for all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.two_executors import BUDGET, LONG, ROWS, SHARED, SHORT, TASKS

pytestmark = pytest.mark.long

ALL = LONG + (TASKS - 1) * SHORT


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.two_executors", str(tmp_path_factory.mktemp("two"))]
    out = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert out.returncode == 0, out.stderr[-4000:]
    print(out.stdout)
    result: dict[str, dict[str, Any]] = json.loads(out.stdout.splitlines()[-1])
    return result


def test_a_speculative_second_attempt_of_a_task_pays_nothing_twice(found: dict[str, dict[str, Any]]) -> None:
    attempt = found["second attempt"]
    assert attempt["attempts"] > TASKS
    assert (attempt["rows"], attempt["distinct"], attempt["answered"]) == (ALL, ALL, ALL)
    assert attempt["requests"] == ALL


def test_a_prompt_that_two_executors_ask_at_once_is_paid_once(found: dict[str, dict[str, Any]]) -> None:
    shared = found["same prompts"]
    assert (shared["rows"], shared["answers_of_a_prompt"]) == (2 * SHARED, 1)
    assert shared["requests"] == SHARED


def test_one_budget_holds_for_two_engines_and_two_executors(found: dict[str, dict[str, Any]]) -> None:
    budget = found["two engines"]
    assert budget["engines"] == 2
    assert budget["rows"] == ROWS
    assert all(budget["answered"])
    assert sum(budget["answered"]) == budget["requests"] == budget["used"] == BUDGET
