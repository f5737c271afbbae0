"""Spark's own processes die, or run twice: rows are right, and little is paid twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lost_workers import ROWS

pytestmark = pytest.mark.long
MOST_UNDER_WAY = 1024  # LLMConfig.max_in_flight


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.lost_workers", str(tmp_path_factory.mktemp("lost"))]
    out = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert out.returncode == 0, out.stderr[-4000:]
    print(out.stdout)
    result: dict[str, dict[str, Any]] = json.loads(out.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("what", ["speculative tasks", "python worker", "executor"])
def test_every_row_has_its_answer(found: dict[str, dict[str, Any]], what: str) -> None:
    assert found[what]["succeeded"]
    assert found[what]["right"]


def test_speculative_tasks_pay_nothing_twice(found: dict[str, dict[str, Any]]) -> None:
    one = found["speculative tasks"]
    assert one["from_ledger"] > 0, "a second attempt ran: each prompt is there once"
    assert one["requests"] == ROWS


@pytest.mark.parametrize("what", ["python worker", "executor"])
def test_only_what_was_under_way_is_paid_twice(found: dict[str, dict[str, Any]], what: str) -> None:
    assert found[what]["killed_at"] >= ROWS // 3
    assert ROWS <= found[what]["requests"] <= ROWS + MOST_UNDER_WAY
    assert found[what]["finished"] == ROWS, "nothing that was answered is asked again"
