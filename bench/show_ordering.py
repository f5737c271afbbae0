"""The tables of a result of ordering.py.

    python bench/show_ordering.py bench/results/ordering.json

at most: what no order of rows and fields can exceed. ms: the solver after encoding, median (least-most). N = 8: points
of cell hits lost when the order is cut for 8 engines, and the largest part by the mean.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["show"]

COLUMNS = ("table", "mode", "cells %", "at most", "characters %", "ms (least-most)", "cpu ms", "encode ms")


def main() -> None:
    """Every file named."""
    for name in sys.argv[1:]:
        show(json.loads(Path(name).read_text(encoding="utf-8")))


def show(record: dict[str, Any]) -> None:
    """Print one result."""
    console = Console(width=170)
    if record["tables"]:
        console.print(modes_table(record))
        console.print(budgets_table(record))
    for made in record["synthetic"]:
        for line in made_lines(made):
            console.print(line)
    if record["compile"]:
        first, cached = record["compile"]["first"], record["compile"]["cached"]
        console.print(f"kernels: compiled in {first:.1f} s, read from the cache in {cached:.1f} s, with numba's import")


def modes_table(record: dict[str, Any]) -> Table:
    """Every mode on every table."""
    title = f"{record['cores']} cores, load {record['load'][0]:.1f}: {record['command']}"
    engines = [part["n"] for part in record["tables"][0]["modes"][-1]["ranges"]]
    shown = Table(*COLUMNS, *(f"N = {n}" for n in engines), title=title, title_justify="left")
    for result in record["tables"]:
        for mode in result["modes"]:
            shown.add_row(*row_of(result, mode))
    return shown


def row_of(result: dict[str, Any], mode: dict[str, Any]) -> list[str]:
    """One line of the table."""
    start = [name_of(result), mode["mode"], f"{100 * mode['cells']:.2f}", f"{100 * result['bound']:.2f}"]
    start.append(f"{100 * mode['characters']:.2f}")
    if "ms" not in mode:
        return start
    times = [f"{mode['ms']:.1f} ({mode['ms_least']:.1f}-{mode['ms_most']:.1f})", f"{mode['cpu_ms']:.1f}"]
    parts = [
        f"-{p['points']:.2f}, {p['largest']:.2f}x" + f" of {p['parts']}" * (p["parts"] < p["n"]) for p in mode["ranges"]
    ]
    return [*start, *times, f"{result['encode']['ms']:.1f}", *parts]


def budgets_table(record: dict[str, Any]) -> Table:
    """Mode best with little and with more time: cells %, and the seconds that were spent."""
    budgets = [spent["budget"] for spent in record["tables"][0]["best_by_budget"]]
    shown = Table("best within", *(f"{budget:g} s" for budget in budgets), title_justify="left")
    for result in record["tables"]:
        cells = [f"{100 * spent['cells']:.2f} ({spent['ms'] / 1000:.2f})" for spent in result["best_by_budget"]]
        shown.add_row(name_of(result), *cells)
    return shown


def name_of(result: dict[str, Any]) -> str:
    """The table, and whether its rows were shuffled."""
    return f"{result['table']}{' shuffled' * result['shuffled']}"


def made_lines(made: dict[str, Any]) -> list[str]:
    """A made table: a line for each mode, and what is known of it."""
    name = f"{made['rows']:,} x {made['columns']}"
    lines = [
        f"{name} ({made['table_mb']:,.0f} MB), {mode['mode']}: {100 * mode['cells']:.2f} % of cells, "
        f"{mode['ms'] / 1000:.2f} s ({mode['ms_least'] / 1000:.2f}-{mode['ms_most'] / 1000:.2f}, cpu "
        f"{mode['cpu_ms'] / 1000:.2f}) of which encoding {made['encode']['ms'] / 1000:.2f} s, "
        f"{mode['peak_above_mb']:,.0f} MB above the table"
        for mode in made["modes"]
    ]
    for mode, known in (made["best_known"] or {}).items():
        found = f"{100 * known['cells']:.2f} % ({known['method']}, {known['ms'] / 1000:.0f} s)"
        lines.append(f"{name}, best order known, {mode}: {found}")
    return lines


if __name__ == "__main__":
    main()
