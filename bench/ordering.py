"""How much of the data's prefixes the ordering engine shares, and how long that takes; no engine, no Spark.

    python bench/ordering.py --data FOLDER --synthetic 1000000 --synthetic 10000000 \\
        --json bench/results/ordering.json --plot bench/results/ordering.svg

For every CSV in FOLDER, as it is and with its rows shuffled:

    cells       hits of whole cells in the order found, share of the data's bytes; what no order can exceed beside it
    characters  the authors' metric (LLM-SQL, MLSys 2025): characters of the concatenated values that an earlier row
                begins with, a cache of any size: the common prefixes of lexicographically adjacent rows
    encode, ms  wall-clock time of the dictionary encoding and of the solver after it, medians; cpu: the least processor
                time of a run, which other people's work on the machine disturbs less
    best within what mode best reaches when it has less time, or more
    N = 8 ...   points of cell hits lost when the order is cut for N engines, and the largest part by the mean

Synthetic tables look like the beer reviews: see `made_tables.reviews`. Their peak memory is that above the table. The
best order known is looked for on those of up to a million rows. The time of the first compilation is that of a process
with an empty cache. `show_ordering.py` prints a result again, `plot_ordering.py` draws it again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from machine import machine
from made_tables import made_result, timed
from plot_ordering import plot
from pyarrow import csv as arrow_csv
from show_ordering import show

from sparkllm.optimizer.ordering import Ordering, ranges, upper_bounds
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.kernels import compiled, kernels_for
from sparkllm.optimizer.ordering.order import MODES, order_cells
from sparkllm.optimizer.ordering.solve import as_it_is

ENGINES = (8, 32, 128)
KNOWN_ROWS = 1_000_000
BUDGETS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)


def main() -> None:
    """Measure, print and write."""
    args = arguments()
    if args.worker:
        known = args.known_budget if args.worker <= KNOWN_ROWS else 0.0
        print(json.dumps(made_result(args.worker, args.columns, args.seed, args.repeats, known)))
        return
    results: dict[str, Any] = {"compile": compile_seconds(), "tables": [], "synthetic": []}
    compiled()
    for path in sorted(Path(args.data).glob("*.csv")) if args.data else []:
        for shuffled in (False, True):
            results["tables"].append(table_result(path, args, shuffled))
            print(f"{path.name}{' shuffled' * shuffled}: done", file=sys.stderr, flush=True)
    results["synthetic"] = [in_a_process_of_its_own(rows, args) for rows in args.synthetic]
    synthetic_arguments = "".join(f" --synthetic {rows}" for rows in args.synthetic)
    command = (
        f"python bench/ordering.py --data FOLDER{synthetic_arguments} --columns {args.columns} "
        f"--repeats {args.repeats} --budget {args.budget:g} --known-budget {args.known_budget:g} --seed {args.seed}"
    )
    record = {"command": command, **machine(), "load": os.getloadavg(), "seed": args.seed, **results}
    if args.json:
        Path(args.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(record)
    if args.plot and record["tables"]:
        plot(record, args.plot)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA"), help="folder of CSV files")
    parser.add_argument("--synthetic", type=int, action="append", default=[], help="rows of a made table")
    parser.add_argument("--columns", type=int, default=9, help="columns of the made tables")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=5.0, help="seconds for mode best")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--known-budget", type=float, default=120.0, help="seconds to look for the best order known")
    parser.add_argument("--json", help="write the result to this file")
    parser.add_argument("--plot", help="draw the result into this file (.svg); needs matplotlib")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def table_result(path: Path, args: argparse.Namespace, shuffled: bool) -> dict[str, Any]:
    """One table: every mode, the bounds, the ranges."""
    table = read(path)
    if shuffled:
        table = table.take(pa.array(np.random.default_rng(args.seed).permutation(table.num_rows)))
    encode, cells = timed(lambda: encode_table(table), args.repeats)
    bounds, names = upper_bounds(cells), table.schema.names
    given = as_it_is(cells, kernels_for(cells))
    found = Ordering(given.rows, given.fields, tuple(names), "input", "input", given.hits, cells.total)
    modes = [{"mode": "input", "cells": found.hit_rate, "characters": characters(cells, found)}]
    for mode in MODES:
        budget = args.budget if mode == "best" else None
        solve, found = timed(partial(order_cells, cells, names, mode, budget), args.repeats)
        shares = {"cells": found.hit_rate, "characters": characters(cells, found)}
        modes.append({"mode": mode, "method": found.method, **shares, **solve, "ranges": cut(cells, found)})
    return {
        "table": path.name,
        "shuffled": shuffled,
        "rows": table.num_rows,
        "columns": table.num_columns,
        "encode": encode,
        "bound_distinct_cells": bounds.distinct_cells / max(1, bounds.total),
        "bound": bounds.hit_rate,
        "modes": modes,
        "best_by_budget": [within(cells, names, budget) for budget in BUDGETS],
    }


def within(cells: Cells, names: list[str], budget: float) -> dict[str, Any]:
    """Mode best, once."""
    spent, found = timed(partial(order_cells, cells, names, "best", budget), 1)
    shares = {"cells": found.hit_rate, "characters": characters(cells, found)}
    return {"budget": budget, "ms": spent["ms"], "method": found.method, **shares}


def read(path: Path) -> pa.Table:
    """A CSV with every column as text, as Spark reads it; an empty field is null."""
    with path.open(encoding="utf-8", newline="") as lines:
        names = next(csv.reader(lines))
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return arrow_csv.read_csv(
        path, parse_options=arrow_csv.ParseOptions(newlines_in_values=True), convert_options=convert
    )


def characters(cells: Cells, found: Ordering) -> float:
    """The authors' metric, 0..1."""
    fields = np.broadcast_to(found.fields, (cells.rows, cells.columns)).astype(np.int64)
    codes = cells.codes[found.rows[:, None], fields]
    values = [column.to_pylist() for column in cells.values or ()]
    rows = zip(fields.tolist(), codes.tolist(), strict=True)
    texts = sorted("".join(values[c][v] for c, v in zip(*row, strict=True)) for row in rows)
    hits = sum(common(one, other) for one, other in pairwise(texts))
    return hits / max(1, sum(map(len, texts)))


def common(one: str, other: str) -> int:
    """Characters that two texts begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def cut(cells: Cells, found: Ordering) -> list[dict[str, float]]:
    """What is lost when the order is cut into parts for N engines."""
    shared = kernels_for(cells).shared_with_previous(cells, found.rows, found.fields)
    lengths, results = cells.row_lengths()[found.rows], []
    for n in ENGINES:
        cuts = ranges(found, cells, n)
        parts = np.add.reduceat(lengths, cuts[:-1])
        lost = 100 * int(shared[cuts[1:-1]].sum()) / max(1, cells.total)
        results.append({"n": n, "parts": len(parts), "points": lost, "largest": float(parts.max() / parts.mean())})
    return results


def compile_seconds() -> dict[str, float] | None:
    """Seconds to import numba and compile the kernels into an empty cache, and to read them from it the next time."""
    if compiled() is None:
        return None
    code = (
        "from sparkllm.optimizer.ordering.kernels import compiled; import time; t = time.perf_counter(); compiled(); "
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code + "print(time.perf_counter() - t)"]
        env = {**os.environ, "NUMBA_CACHE_DIR": folder}
        first, again = (float(subprocess.check_output(command, env=env)) for _ in range(2))
    return {"first": first, "cached": again}


def in_a_process_of_its_own(rows: int, args: argparse.Namespace) -> dict[str, Any]:
    """A made table: its peak memory is not to be that of what ran before."""
    mine = ["--worker", str(rows), "--columns", str(args.columns), "--seed", str(args.seed)]
    mine += ["--known-budget", str(args.known_budget)]
    command = [sys.executable, __file__, *mine, "--repeats", str(args.repeats)]
    return json.loads(subprocess.check_output(command))


if __name__ == "__main__":
    main()
