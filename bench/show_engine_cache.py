"""The tables of one or more results of engine_cache.py.

    python bench/show_engine_cache.py FILE...

engine, predicted: per cent of the prompts' tokens served by the KV cache, of whole prompts and of the data in them
(without chat frame and instruction); the engine's is the median of the repeats, `off` the largest difference of any.
full: the cache does not hold all blocks of all prompts. speed-up: seconds of the input order / seconds, of the same
repeat, from the first prompt sent to the last answer; `+ plan`: finding the order and making the prompts added to both.
Medians, in brackets the smallest and the largest.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["beyond_limits", "table"]

PAPER = "the paper's (LLM-SQL, MLSys 2025): 1.5-3.4 x, other engines, models and machines"
COLUMNS = ("table", "cache", "order", "engine", "predicted", "off", "engine, data", "predicted", "off", "s", "tokens/s")


def table(record: dict[str, Any]) -> str:
    """One result as text."""
    machine = f"{record['device']}, {record['cores']} cores, vLLM {record['vllm']}, {record['model']}"
    steps = f"{record['concurrency']} requests and {record['batched_tokens']:,} tokens a step"
    title = f"{machine}; blocks of {record['block_size']}; {steps}\n{record['command']}"
    shown = Table(title=title, title_justify="left")
    for name in (*COLUMNS, "speed-up", "+ plan"):
        shown.add_column(name, justify="left" if name in COLUMNS[:3] else "right")
    last = None
    for run in record["runs"]:
        where = (run["table"], run["cache"])
        if last not in (None, where):
            shown.add_section()
        last = where
        shown.add_row(*_row(run, _input_of(record, run)))
    text = io.StringIO()
    console = Console(file=text, width=220)
    console.print(shown)
    console.print(f"speed-up beside {PAPER}")
    for run in beyond_limits(record):
        limit = record["limits"][run["cache"]]
        console.print(f"BEYOND {limit:g} points: {run['table']}, {run['cache']}, {run['order']}")
    return text.getvalue()


def beyond_limits(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs in which engine and prediction differ by more than the limit of their cache."""
    return [
        run
        for run in record["runs"]
        if max(difference(run, "all"), difference(run, "data")) > record["limits"][run["cache"]]
    ]


def difference(run: dict[str, Any], of: str) -> float:
    """Points between the prediction and the engine, in the repeat where it is largest."""
    return max((abs(engine[of] - run["predicted"][of]) for engine in run["engine"]), default=0.0)


def _input_of(record: dict[str, Any], run: dict[str, Any]) -> dict[str, Any] | None:
    same = [r for r in record["runs"] if all(r[k] == run[k] for k in ("table", "cache")) and r["order"] == "input"]
    return same[0] if same else None


def _row(run: dict[str, Any], given: dict[str, Any] | None) -> list[str]:
    rates = []
    for of in ("all", "data"):
        engine = median(repeat[of] for repeat in run["engine"])
        rates += [f"{engine:.2f}", f"{run['predicted'][of]:.2f}", f"{difference(run, of):.2f}"]
    speeds = [run["tokens"] / seconds for seconds in run["seconds"]]
    cache = f"{run['cache']}, {run['blocks']:,}{', full' * (run['evaluator'] != 'blocks')}"
    row = [f"{run['table']}, {run['prompts']:,}", cache, f"{run['order']} ({run['method']})"]
    row += [*rates, _spread(run["seconds"], 2), f"{median(speeds):,.0f}"]
    return [*row, *(_spread(ratios, 2) for ratios in _ratios(run, given))]


def _ratios(run: dict[str, Any], given: dict[str, Any] | None) -> list[list[float]]:
    """(answers alone, planning included); nothing where the input's order was not measured."""
    if given is None:
        return []
    pairs = list(zip(given["seconds"], run["seconds"], strict=True))
    plans = [r["order_seconds"] + r["prompt_seconds"] for r in (given, run)]
    return [[a / b for a, b in pairs], [(plans[0] + a) / (plans[1] + b) for a, b in pairs]]


def _spread(values: Sequence[float], digits: int) -> str:
    low, middle, high = (f"{v:.{digits}f}" for v in (min(values), median(values), max(values)))
    return f"{middle} ({low}-{high})" if len(values) > 1 else middle


if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(table(json.loads(Path(file).read_text(encoding="utf-8"))))
