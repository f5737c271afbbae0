"""The two public tables, whole: every row answered, equal rows alike. Minutes: `make test-long`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.long
def test_every_row_of_the_real_tables_is_answered(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "real_tables.json"
    command = [sys.executable, str(BENCH / "real_tables.py"), "--data", str(data), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    jobs = json.loads(out.read_text(encoding="utf-8"))["jobs"]
    assert {job["table"]: job["rows"] for job in jobs} == {"beer.csv": 28_479, "airline_tweets.csv": 14_640}
    assert [(job["unanswered"], job["unequal"]) for job in jobs] == [(0, 0), (0, 0)]
