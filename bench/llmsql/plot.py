"""Plots of a result of `python -m bench.llmsql`: seconds of each contender by sparkllm's, and where those go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from bench.llmsql.show import OURS, PARTS, cells, ratios, where

matplotlib.use("Agg")
from matplotlib import pyplot

__all__ = ["plot"]


def plot(record: dict[str, Any], path: Path) -> None:
    """Above, a group of bars for each query and order, with quartiles; below, a stacked bar for each."""
    matplotlib.rcParams.update({"svg.hashsalt": "sparkllm", "font.size": 8})
    found = [(f"{query}\n{order}", turns) for (query, order), turns in cells(record) if OURS in turns]
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(max(6, 1.4 * len(found)), 7), layout="constrained")
    _speed_ups(above, found, [name for name in record["contenders"] if name != OURS])
    _parts(below, found)
    for panel in (above, below):
        panel.set_xticks(range(len(found)), [cell for cell, _ in found])
        panel.legend(ncols=5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _speed_ups(panel: Any, found: list[tuple[str, Any]], names: list[str]) -> None:
    width = 0.8 / max(1, len(names))
    for i, name in enumerate(names):
        quartiles = [np.quantile(ratios(turns, name) or [np.nan], [0.25, 0.5, 0.75]) for _, turns in found]
        low, middle, high = np.array(quartiles).T
        places = np.arange(len(found)) + (i - (len(names) - 1) / 2) * width
        panel.bar(places, middle, width, label=name, yerr=(middle - low, high - middle), error_kw={"linewidth": 0.6})
    panel.axhline(1.0, color="black", linewidth=0.8)
    panel.set_ylabel("seconds by sparkllm's")


def _parts(panel: Any, found: list[tuple[str, Any]]) -> None:
    shares = [where(turns) for _, turns in found]
    bottom = np.zeros(len(found))
    for part in PARTS:
        each = np.array([100 * share.get(part, 0.0) for share in shares])
        panel.bar(range(len(found)), each, 0.6, bottom, label=part)
        bottom += each
    panel.set_ylabel("% of sparkllm's seconds")
