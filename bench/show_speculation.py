"""The tables of a result of speculation.py.

    python bench/show_speculation.py bench/results/speculation_grid.json

by best: goodput's speed by that of the best fixed draft length (*), median of the turns and their quartiles; by k = 0:
the same by no speculation; known: the policy with the true acceptance. mean: mean draft length of goodput. Which length
is the best one is, for each turn, found from the other turns: the best of a turn itself is often the luckiest.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

__all__ = ["FIXED", "best_fixed", "by_best", "ratios", "show", "speed"]

_NAMES = ("batch", "acceptance", "before", "after")
FIXED = (0, 1, 2, 3, 4, 6, 8)


def main() -> None:
    """Every file named."""
    for name in sys.argv[1:]:
        show(json.loads(Path(name).read_text(encoding="utf-8")))


def show(record: dict[str, Any]) -> None:
    """Print one result."""
    console = Console(width=190)
    where = f"{record['cores']} cores, {record['device']}, {record['target']}, load {record['load'][0]:.1f}"
    title = f"tokens a second by {record.get('clock', 'wall')}; {where}"
    for part, what in (("grid", "steady"), ("jumps", "after a jump of acceptance"), ("drains", "a job that drains")):
        if record.get(part):
            console.print(table(record[part], f"{what}; {title}"))


def table(cells: list[dict[str, Any]], title: str) -> Table:
    """A row for each cell: tokens a second of every choice, and ratios."""
    names = [key for key in cells[0] if key in _NAMES]
    choices = list(cells[0]["turns"])
    out = Table(*names, *choices, "mean", "by best", "by k = 0", "known by best", title=title)
    for cell in cells:
        turns = cell["turns"]
        best = best_fixed(turns)
        speeds = [f"{speed(turns[c]):.0f}{'*' * (c == best)}" for c in choices]
        mean = f"{median(t.get('mean_length', 0.0) for t in turns['goodput']):.2f}"
        known = spread(by_best(turns, "known")) if "known" in turns else ""
        shown = [spread(by_best(turns, "goodput")), spread(ratios(turns, "goodput", "k = 0")), known]
        out.add_row(*(str(cell[n]) for n in names), *speeds, mean, *shown)
    return out


def line(part: str, cell: dict[str, Any]) -> str:
    """One cell, while the others run."""
    where = ", ".join(f"{key} {cell[key]}" for key in _NAMES if key in cell)
    best = best_fixed(cell["turns"])
    return f"{part}: {where}: {spread(by_best(cell['turns'], 'goodput'))} of {best}"


def speed(turns: list[dict[str, Any]]) -> float:
    """Median tokens a second."""
    return float(median(turn["tokens_per_second"] for turn in turns))


def best_fixed(turns: dict[str, list[dict[str, Any]]], but: int | None = None) -> str:
    """The fixed draft length of the highest median, of those that have a turn `but`: of their other turns."""
    able = [n for n in turns if n.startswith("k = ") and (but is None or len(turns[n]) > but)]
    return max(able, key=lambda n: speed([turn for i, turn in enumerate(turns[n]) if i != but]))


def by_best(turns: dict[str, list[dict[str, Any]]], name: str) -> list[float]:
    """Turn by turn, the speed by that of the length that is the best fixed one of the other turns."""
    own = [turn["tokens_per_second"] for turn in turns[name]]
    return [mine / turns[best_fixed(turns, i)][i]["tokens_per_second"] for i, mine in enumerate(own)]


def ratios(turns: dict[str, list[dict[str, Any]]], name: str, other: str) -> list[float]:
    """Turn by turn, as many as both have."""
    pairs = zip(turns[name], turns[other], strict=False)
    return [a["tokens_per_second"] / b["tokens_per_second"] for a, b in pairs]


def spread(values: list[float]) -> str:
    """Median and quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    main()
