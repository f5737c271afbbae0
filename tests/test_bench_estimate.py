"""The table of bench/estimate.py names what is not as near as promised, and prints what was committed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"
COMMITTED = sorted((BENCH / "results").glob("estimate_*.json"))
RUN = {"calls": 1000, "prompt_tokens": 50_000, "output_tokens": 2000, "hits": 0.5, "seconds": 10.0}
NEAR = RUN | {"prompt_tokens": 52_000, "hits": 0.48, "seconds": 12.5}


def shown(tmp_path: Path, estimate: dict[str, Any]) -> str:
    pair = {"job": "filter", "table": "beer.csv", "repeat": 0, "estimate": estimate, "run": RUN}
    whole = {"table": "beer.csv", "estimate": estimate | {"seconds": None}, "run": RUN}
    result = {"model": "demo", "cores": 1, "command": "made up", "whole": [whole], "runs": [pair, pair | {"repeat": 1}]}
    (tmp_path / "one.json").write_text(json.dumps(result))
    return show(tmp_path / "one.json")


def show(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, BENCH / "show_estimate.py", path], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_an_estimate_that_is_near_enough_misses_nothing(tmp_path: Path) -> None:
    found = shown(tmp_path, NEAR)
    assert "nothing missed" in found
    assert "MISSED" not in found
    assert "52,000 / 50,000" in found
    assert "all of beer.csv, dry run" in found


@pytest.mark.parametrize(
    ("figure", "estimated"), [("calls", 1001), ("prompt_tokens", 53_000), ("hits", 0.54), ("seconds", 6.5)]
)
def test_what_is_too_far_off_is_named(figure: str, estimated: float, tmp_path: Path) -> None:
    found = shown(tmp_path, NEAR | {figure: estimated})
    assert "MISSED" in found
    assert f"filter, beer.csv, 1: {figure} " in found
    assert found.count(f": {figure} ") == (2 if figure == "seconds" else 3), "seconds of a dry run are not promised"


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_a_committed_result_is_printed(path: Path) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))
    found = show(path)
    assert all(one["table"] in found for one in [*result["whole"], *result["runs"]])
