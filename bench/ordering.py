"""How much of the data's prefixes the ordering engine shares, and how long that takes; no engine, no Spark.

    python bench/ordering.py --data FOLDER --synthetic 1000000 --synthetic 10000000 --json bench/results/ordering.json

For every CSV in FOLDER, as it is and with its rows shuffled:

    cells       hits of whole cells in the order found, share of the data's bytes; what no order can exceed beside it
    characters  the authors' metric (LLM-SQL, MLSys 2025): characters of the concatenated values that an earlier row
                begins with, a cache of any size: the common prefixes of lexicographically adjacent rows
    encode, ms  wall-clock time of the dictionary encoding and of the solver after it, medians; cpu: the least processor
                time of a run, which other people's work on the machine disturbs less
    N = 8 ...   points of cell hits lost when the order is cut for N engines, and the largest part by the mean

Synthetic tables look like the beer reviews: see `synthetic`. Their peak memory is that above the table. The time of the
first compilation is that of a process with an empty cache.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
from machine import machine
from pyarrow import csv as arrow_csv
from rich.console import Console
from rich.table import Table

from sparkllm.optimizer.ordering import Ordering, order, ranges, upper_bounds
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.kernels import compiled, kernels_for
from sparkllm.optimizer.ordering.order import MODES, order_cells
from sparkllm.optimizer.ordering.solve import as_it_is

ENGINES = (8, 32, 128)


def main() -> None:
    """Measure, print and write."""
    args = arguments()
    if args.worker:
        print(json.dumps(synthetic_result(args.worker, args.columns, args.seed, args.repeats)))
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
        f"--repeats {args.repeats} --budget {args.budget:g} --seed {args.seed}"
    )
    record = {"command": command, **machine(), "load": os.getloadavg(), "seed": args.seed, **results}
    if args.json:
        Path(args.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(record)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA"), help="folder of CSV files")
    parser.add_argument("--synthetic", type=int, action="append", default=[], help="rows of a made table")
    parser.add_argument("--columns", type=int, default=9, help="columns of the made tables")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=5.0, help="seconds for mode best")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="write the result to this file")
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
    }


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


def timed(work: Callable[[], Any], repeats: int) -> tuple[dict[str, float], Any]:
    """Milliseconds of `work` and its result."""
    wall, cpu = [], []
    for _ in range(repeats):
        clocks = time.perf_counter(), time.process_time()
        result = work()
        wall.append((time.perf_counter() - clocks[0]) * 1000)
        cpu.append((time.process_time() - clocks[1]) * 1000)
    return {"ms": median(wall), "ms_least": min(wall), "ms_most": max(wall), "cpu_ms": min(cpu)}, result


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
    command = [sys.executable, __file__, *mine, "--repeats", str(args.repeats)]
    return json.loads(subprocess.check_output(command))


def synthetic_result(rows: int, columns: int, seed: int, repeats: int) -> dict[str, Any]:
    """Time and peak memory of `order` on a made table, encoding included."""
    compiled()
    table = synthetic(rows, columns, seed)
    result: dict[str, Any] = {"rows": rows, "columns": columns, "table_mb": table.nbytes / 2**20, "modes": []}
    encode, _ = timed(lambda: encode_table(table), repeats)
    for mode in ("fixed", "fast"):
        with PeakMemory() as memory:
            whole, found = timed(partial(order, table, mode), repeats)
        shares = {"mode": mode, "cells": found.hit_rate, "peak_above_mb": memory.above / 2**20}
        result["modes"].append({**shares, **whole})
    return {**result, "encode": encode}


def synthetic(rows: int, columns: int, seed: int) -> pa.Table:
    """Reviews in random order: 30 of a product, whose id and style follow from its name, and 50 of a user, some of both
    far more often than others; a day, and marks that few values share. Columns above 9 are more marks."""
    random = np.random.default_rng(seed)
    products, users = max(1, rows // 30), max(1, rows // 50)
    product, user = ((many * random.random(rows) ** 2).astype(np.int64) for many in (products, users))
    made = {
        "user": ("user_", user),
        "day": ("", 1_000_000_000 + 86_400 * random.integers(0, 4000, rows)),
        "name": ("The Fine Product Number ", product),
        "style": ("Style of ", product % 89),
        "id": ("", product * 7919 % 1_000_003 + 1_000_003 * product),
    }
    for k in range(columns - len(made)):
        most = (20, 10, 5, 5)[k % 4]
        marks = np.clip(random.normal(0.6 * most, 0.2 * most, rows), 0, most).astype(np.int64)
        made[f"mark {k}"] = (f"{most}: ", marks)
    names = random.permutation(list(made))[:columns].tolist()
    return pa.table({name: text(*made[name]) for name in names})


def text(prefix: str, values: np.ndarray) -> pa.Array:
    """Numbers as text behind a prefix."""
    return pc.binary_join_element_wise(prefix, pa.array(values).cast(pa.string()), "")


class PeakMemory:
    """The resident memory of this process above that at the beginning, looked at every few milliseconds."""

    def __enter__(self) -> PeakMemory:
        pa.default_memory_pool().release_unused()
        self._process, self._ended = psutil.Process(), threading.Event()
        self._before = self._most = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self._most = max(self._most, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def above(self) -> int:
        """Bytes."""
        return self._most - self._before


def show(record: dict[str, Any]) -> None:
    """The result as tables."""
    console = Console(width=170)
    shown = Table(
        title=f"{record['cores']} cores, load {record['load'][0]:.1f}: {record['command']}", title_justify="left"
    )
    for name in ("table", "mode", "cells %", "at most", "characters %", "ms (least-most)", "cpu ms", "encode ms"):
        shown.add_column(name)
    for n in ENGINES:
        shown.add_column(f"N = {n}")
    for result in record["tables"]:
        for mode in result["modes"]:
            shown.add_row(*row_of(result, mode))
    if record["tables"]:
        console.print(shown)
    for made in record["synthetic"]:
        for mode in made["modes"]:
            encoding, memory = made["encode"]["ms"] / 1000, mode["peak_above_mb"]
            console.print(
                f"{made['rows']:,} x {made['columns']} ({made['table_mb']:,.0f} MB), {mode['mode']}: "
                f"{100 * mode['cells']:.2f} % of cells, {mode['ms'] / 1000:.2f} s (cpu {mode['cpu_ms'] / 1000:.2f}) "
                f"of which encoding {encoding:.2f} s, {memory:,.0f} MB above the table"
            )
    if record["compile"]:
        first, cached = record["compile"]["first"], record["compile"]["cached"]
        console.print(
            f"kernels: compiled in {first:.1f} s, read from the cache in {cached:.1f} s, numba's import included"
        )


def row_of(result: dict[str, Any], mode: dict[str, Any]) -> list[str]:
    """One line of the table."""
    name = f"{result['table']}{' shuffled' * result['shuffled']}"
    start = [name, mode["mode"], f"{100 * mode['cells']:.2f}", f"{100 * result['bound']:.2f}"]
    start.append(f"{100 * mode['characters']:.2f}")
    if "ms" not in mode:
        return start
    times = [f"{mode['ms']:.1f} ({mode['ms_least']:.1f}-{mode['ms_most']:.1f})", f"{mode['cpu_ms']:.1f}"]
    parts = [
        f"-{p['points']:.2f}, {p['largest']:.2f}x" + f" of {p['parts']}" * (p["parts"] < p["n"]) for p in mode["ranges"]
    ]
    return [*start, *times, f"{result['encode']['ms']:.1f}", *parts]


if __name__ == "__main__":
    main()
