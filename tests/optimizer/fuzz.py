"""`make fuzz`: many random queries with every rule off in turn, and a table of what went wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

import sparkllm
from tests.optimizer.differential import RULES, Comparison, compare, sessions

SPARK = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": "2"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--seed", type=int, default=100_000, help="the first one")
    parser.add_argument("--off", choices=["each", "all", "none"], default="each", help="rules to switch off, in turn")
    arguments = parser.parse_args()
    console = Console(width=200)
    with tempfile.TemporaryDirectory() as folder:
        spark = sparkllm.session(master="local[2]", **SPARK)
        spark.sparkContext.setLogLevel("OFF")
        found = sessions(spark, Path(folder))
        seeds = range(arguments.seed, arguments.seed + arguments.queries)
        off = {"each": [[r] for r in RULES] + [RULES], "all": [RULES], "none": []}[arguments.off]
        results = [compare(found, seed, off) for seed in track(seeds, "queries", console=console)]
        spark.stop()
    show(results, console)
    return any(r.problems for r in results)


def show(results: list[Comparison], console: Console) -> None:
    wrong = [r for r in results if r.problems]
    more = [r for r in results if not r.problems and r.asked > r.minimum]
    fewer = [r for r in results if not r.problems and r.asked < r.minimum]
    for title, rows in (("failures", wrong), ("more rows asked than needed", more), ("fewer than the oracle's", fewer)):
        table = Table("seed", "asked", "minimum", "SQL", title=title, show_lines=True)
        for r in rows:
            table.add_row(str(r.seed), str(r.asked), str(r.minimum), "\n".join([*r.problems, str(r.query)]))
        if rows:
            console.print(table, markup=False)
    at = sum(r.asked == r.minimum for r in results)
    console.print(f"{len(results)} queries: {len(wrong)} failures, {at} at the minimum ({at / len(results):.0%})")


if __name__ == "__main__":
    sys.exit(main())
