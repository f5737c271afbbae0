"""The table of one or more results of main_job.py: medians of the pairs, with their spread.

    python bench/show_main_job.py FILE...

speed-up: seconds off / seconds on; bound: tokens computed off / tokens computed on; each the median over the pairs of a
row, with the smallest and the largest. hits: share of the data's tokens served by the KV cache; predicted: what a cold
cache of any size would serve.
"""

from __future__ import annotations

import io
import json
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["table"]


def table(result: dict[str, Any]) -> str:
    """One result as text."""
    shown = Table(title=f"{result['model']}, {result['cores']} cores, {result['command']}", title_justify="left")
    for name in (
        "table",
        "rows",
        "pairs",
        "off s",
        "on s",
        "speed-up",
        "bound",
        "of bound",
        "hits off",
        "hits on",
        "predicted",
    ):
        shown.add_column(name, justify="left" if name == "table" else "right")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for pair in result["pairs"]:
        groups.setdefault((pair["table"], pair["order"]), []).append(pair)
    for (name, order), pairs in groups.items():
        shown.add_row(f"{name}, {order}", f"{pairs[0]['rows']:,}", str(len(pairs)), *_figures(pairs))
    text = io.StringIO()
    Console(file=text, width=200).print(shown)
    return text.getvalue()


def _figures(pairs: list[dict[str, Any]]) -> Iterable[str]:
    def spread(figure: Callable[[dict[str, Any]], float], form: str = "{:.2f}") -> str:
        values = sorted(figure(pair) for pair in pairs)
        low, middle, high = (form.format(v) for v in (values[0], statistics.median(values), values[-1]))
        return f"{middle} ({low}-{high})" if len(values) > 1 else middle

    yield spread(lambda p: p["off"]["seconds"], "{:.1f}")
    yield spread(lambda p: p["on"]["seconds"], "{:.1f}")
    yield spread(speedup)
    yield spread(bound)
    yield spread(lambda p: speedup(p) / bound(p))
    yield spread(lambda p: 100 * data_hits(p["off"]), "{:.1f}")
    yield spread(lambda p: 100 * data_hits(p["on"]), "{:.1f}")
    yield spread(lambda p: 100 * data_hits(p["on"], "predicted_data_tokens"), "{:.1f}")


def speedup(pair: dict[str, Any]) -> float:
    """Seconds off / seconds on."""
    return float(pair["off"]["seconds"] / pair["on"]["seconds"])


def bound(pair: dict[str, Any]) -> float:
    """Tokens computed off / tokens computed on."""
    off, on = (pair[mode]["prompt_tokens"] - pair[mode]["cached_tokens"] for mode in ("off", "on"))
    return float(off / on)


def data_hits(run: dict[str, Any], of: str = "cached_data_tokens") -> float:
    """Share of the data's tokens."""
    return float(run[of] / (run["prompt_tokens"] - run["static_tokens"]))


if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(table(json.loads(Path(file).read_text(encoding="utf-8"))))
