"""The committed result of bench/ordering.py can be printed and drawn again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
RESULT = BENCH / "results" / "ordering.json"
TABLES = json.loads(RESULT.read_text(encoding="utf-8"))["tables"]


def run(*arguments: str | Path) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_table_of_the_result_is_printed() -> None:
    shown = run(BENCH / "show_ordering.py", RESULT)
    for result in TABLES:
        for mode in result["modes"]:
            assert f"{100 * mode['cells']:.2f}" in shown


def test_the_same_result_gives_the_same_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = []
    for name in ("one.svg", "other.svg"):
        run(BENCH / "plot_ordering.py", RESULT, tmp_path / name)
        drawn.append((tmp_path / name).read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    assert drawn[0].count('<g id="axes_') == len(TABLES)
    assert all(f"<!-- {result['table']}" in drawn[0] for result in TABLES)
