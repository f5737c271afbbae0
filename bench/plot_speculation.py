"""A result of speculation.py as a plot: tokens a second over those without drafts, a panel for each batch.

pip install 'sparkllm[bench]'
python bench/plot_speculation.py bench/results/speculation_grid.json bench/results/speculation_grid.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from show_speculation import ratios

__all__ = ["plot"]

WIDTH = 0.07  # of a choice among its acceptance's
NAMES = {"goodput": "goodput", "by batch": "table by batch size", "known": "goodput, acceptance known"}
COLOURS = {"goodput": "#c8691c", "by batch": "#777777", "known": "#e2b48c"}
BLUES = ("#dce6f2", "#c3d6ea", "#a5c1df", "#83a9d2", "#608fc3", "#3f74b0", "#1f5fa8")


def main() -> None:
    """The command line: JSON in, SVG (or what the name ends in) out."""
    if len(sys.argv) != 3:
        sys.exit("usage: python bench/plot_speculation.py RESULT.json PLOT.svg")
    plot(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2])


def plot(record: dict[str, Any], path: str) -> None:
    """Draw the grid of a result; the same result gives the same file."""
    import matplotlib  # the rest of the benchmark runs without it

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "sparkllm", "font.size": 8})
    from matplotlib import pyplot

    batches = sorted({cell["batch"] for cell in record["grid"]})
    size = (9, 2.4 * -(-len(batches) // 2))
    figure, panels = pyplot.subplots(-(-len(batches) // 2), 2, figsize=size, squeeze=False, layout="constrained")
    for panel, batch in zip(panels.flat, batches, strict=False):
        draw(panel, [cell for cell in record["grid"] if cell["batch"] == batch])
        panel.set_title(f"batch {batch}")
    for panel in list(panels.flat)[len(batches) :]:
        panel.set_visible(False)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    pyplot.close(figure)


def draw(panel: Any, cells: list[dict[str, Any]]) -> None:
    """Bars of medians with quartiles, side by side for each acceptance."""
    choices = list(cells[0]["turns"])
    for number, name in enumerate(choices):
        at = np.arange(len(cells)) + (number - (len(choices) - 1) / 2) * 1.1 * WIDTH
        found = [ratios(cell["turns"], name, "k = 0") for cell in cells]
        middle = np.array([median(values) for values in found])
        low, high = np.transpose([np.quantile(values, [0.25, 0.75]) for values in found])  # some have more turns
        colour = COLOURS.get(name) or BLUES[number % len(BLUES)]
        panel.bar(at, middle, WIDTH, color=colour, label=NAMES.get(name, name))
        panel.vlines(at, low, high, color="black", linewidth=0.6)
    panel.axhline(1.0, color="black", linewidth=0.6)
    panel.set_xticks(range(len(cells)), [f"acceptance {cell['acceptance']}" for cell in cells])
    panel.set_ylabel("tokens/s over k = 0")


if __name__ == "__main__":
    main()
