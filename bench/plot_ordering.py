"""A result of ordering.py as a plot, without measuring again: hits against the solver's time, a panel for each table.

pip install 'sparkllm[bench]'
python bench/plot_ordering.py bench/results/ordering.json bench/results/ordering.svg
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

__all__ = ["plot"]

METRICS = ("cells", "characters")
MARKERS = {"fixed": "s", "fast": "^", "best": "o"}
COLOURS = {"cells": "#1f5fa8", "characters": "#c8691c"}
ACROSS = 2
SECONDS = (5e-4, 20)


def main() -> None:
    """The command line: JSON in, SVG (or what the name ends in) out."""
    if len(sys.argv) != 3:
        sys.exit("usage: python bench/plot_ordering.py RESULT.json PLOT.svg")
    plot(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2])


def plot(record: dict[str, Any], path: str) -> None:
    """Draw a result; the same result gives the same file."""
    import matplotlib  # the rest of the benchmark runs without it

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "sparkllm", "font.size": 8})
    from matplotlib import pyplot

    tables = record["tables"]
    down = math.ceil(len(tables) / ACROSS)
    figure, panels = pyplot.subplots(down, ACROSS, figsize=(9, 2.9 * down), squeeze=False, layout="constrained")
    for panel, result in zip(panels.flat, tables, strict=False):
        draw(panel, result)
    for panel in list(panels.flat)[len(tables) :]:
        panel.set_visible(False)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    pyplot.close(figure)


def draw(panel: Any, result: dict[str, Any]) -> None:
    """One table, as high as what was found; the input, which takes no time, is mostly far below and stands in words."""
    given, *modes = result["modes"]
    panel.axhline(100 * result["bound"], color="black", linewidth=1, label="upper bound, cells")
    for metric in METRICS:
        colour = COLOURS[metric]
        curve = sorted((spent["ms"] / 1000, 100 * spent[metric]) for spent in result["best_by_budget"])
        label = f"best within a budget, {metric}"
        panel.plot(*zip(*curve, strict=True), color=colour, linewidth=0.8, marker=".", markersize=4, label=label)
        for mode in modes:
            at = mode["ms"] / 1000, 100 * mode[metric]
            label = f"{mode['mode']}, {metric}"
            panel.plot(*at, color=colour, marker=MARKERS[mode["mode"]], linestyle="", label=label)
    low, high = panel.get_ylim()
    panel.set_ylim(low - 0.2 * (high - low), high)
    panel.annotate(
        f"\N{BLACK DOWN-POINTING TRIANGLE} input: {100 * given['cells']:.2f} % of cells, "
        f"{100 * given['characters']:.2f} % of characters",
        (0.02, 0.03),
        xycoords="axes fraction",
    )
    panel.set_xscale("log")
    panel.set_xlim(*SECONDS)
    panel.set_title(f"{result['table']}{', shuffled' * result['shuffled']} ({result['rows']:,} x {result['columns']})")
    panel.set_xlabel("seconds after encoding")
    panel.set_ylabel("prefix hits, %")
    panel.grid(alpha=0.3)


if __name__ == "__main__":
    main()
