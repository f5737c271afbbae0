"""How far one session goes with the dry-run engine: many rows, long rows, many columns, many partitions, many queries.

    python bench/limits.py --json bench/results/limits.json
    python bench/limits.py --only fair rows

`rows`, ever more of them, watches the memory of the Python workers and the engine's server; `long` takes rows of a
megabyte, too long for the model and not; `columns` a call with 200 fields; `partitions` 10,000 of them; `fair` small
queries beside a large one and eight at once, of which one is cancelled, on an engine of a fixed speed.
`python bench/show_limits.py FILE` prints the table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fair_queries import fair
from machine import machine
from pyspark.sql import SparkSession
from show_limits import table
from watch import Watch, slope

import sparkllm

CORES = 16  # Spark's task slots, not the machine's: what waits for the engine takes no core
CASES = ("rows", "long", "columns", "partitions", "fair")
MEGABYTE, WARM_ROWS = 1_000_000, 40_000
FEW = "SELECT count(llm('Is it good?', string(id))) AS answered FROM range(4)"

Case = Callable[[], dict[str, Any]]


def main() -> None:
    """Run the cases one after the other; write the JSON after each."""
    args = arguments()
    result: dict[str, Any] = {"command": command(args), **machine(), "cases": {}}
    folder = Path(tempfile.mkdtemp(prefix="limits"))
    spark = session(folder)
    run: dict[str, dict[str, Case]] = {
        "rows": {f"rows {rows}": partial(many_rows, spark, rows) for rows in args.rows},
        "long": {"long": lambda: long_rows(spark, args.long_rows)},
        "columns": {"columns": lambda: many_columns(spark, args.columns)},
        "partitions": {"partitions": lambda: many_partitions(spark, args.partitions)},
        "fair": {"fair": lambda: fair(spark, args.large, args.rate)},
    }
    for case, measure in ((name, one) for asked in args.only for name, one in run[asked].items()):
        with Watch(args.every, folder) as watch:
            figures = measure()
        figures["memory_mib"] = {who: peak(watch, who) for who in ("Python worker", "server", "driver JVM")}
        figures["growth_mib"] = {who: slope(watch.samples, who) for who in ("Python worker", "server")}
        result["cases"][case] = figures
        print(case, json.dumps(figures), flush=True)
        if args.json:
            Path(args.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    sparkllm.stop(spark)
    spark.stop()
    shutil.rmtree(folder, ignore_errors=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--long-rows", type=int, default=200, help="rows of a megabyte")
    parser.add_argument("--columns", type=int, default=200)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=100_000, help="rows of the large query beside small ones")
    parser.add_argument("--rate", type=float, default=40_000, help="prompt tokens a second of the shared engine")
    parser.add_argument("--every", type=float, default=3, help="seconds between two looks at the memory")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def command(args: argparse.Namespace) -> str:
    """How to make the figures again."""
    chosen = "" if tuple(args.only) == CASES else f" --only {' '.join(args.only)}"
    rows = " ".join(map(str, args.rows))
    return (
        f"python bench/limits.py{chosen} --rows {rows} --long-rows {args.long_rows} --columns {args.columns} "
        f"--partitions {args.partitions} --large {args.large} --rate {args.rate:.0f}"
    )


def session(folder: Path) -> SparkSession:
    """One for all cases; its engines live in `folder`."""
    conf = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR",
            "spark.scheduler.mode": "FAIR", "spark.driver.memory": "3g"}  # fmt: skip
    return sparkllm.session(
        model="demo", master=f"local[{CORES}]", engine="dry-run", ledger="off", runtime_dir=str(folder), **conf
    )


def peak(watch: Watch, who: str) -> float:
    """Most memory of the largest process of that kind, in MiB."""
    return max((sample[who]["largest_mib"] for sample in watch.samples if who in sample), default=0.0)


def timed(spark: SparkSession, sql: str) -> tuple[float, Any]:
    """Seconds of a query, and its only row."""
    began = time.perf_counter()
    [row] = spark.sql(sql).collect()
    return time.perf_counter() - began, row


def many_rows(spark: SparkSession, rows: int) -> dict[str, Any]:
    """Every prompt another one, two fields, tasks of many windows; workers and engine are there and warm."""
    spark.conf.set("spark.sparkllm.tasks", "4")
    query = (
        "SELECT count(*) AS n, count(a) AS answered FROM (SELECT llm('Is it good?', product, review) AS a FROM (SELECT "
        "concat('product ', id % 997) AS product, concat('review number ', id) AS review FROM range({rows})))"
    )
    timed(spark, query.format(rows=WARM_ROWS))
    seconds, row = timed(spark, query.format(rows=rows))
    assert row.n == row.answered == rows, row
    spark.conf.unset("spark.sparkllm.tasks")
    report = sparkllm.last_report(spark)
    counts = {name: report.total(name) for name in ("requests", "start_ms")}
    each = {"rows_per_second": rows / seconds, "us_per_row": 1e6 * seconds / rows}
    return {"rows": rows, **counts, "seconds": seconds, **each}


def long_rows(spark: SparkSession, rows: int) -> dict[str, Any]:
    """Once too long for the model, once for a model of any length; the same rows."""
    figures: dict[str, Any] = {"rows": rows, "bytes": MEGABYTE}
    for name, length in (("too long", 0), ("taken", 2_000_000)):
        spark.conf.set("spark.sparkllm.maxModelLen", str(length))
        timed(spark, FEW)  # the engine is there
        words = MEGABYTE // 5
        seconds, row = timed(
            spark,
            f"SELECT count(*) AS n, count(llm('Is it good?', text)) AS answered "
            f"FROM (SELECT concat(id, ' ', repeat('word ', {words})) AS text FROM range(0, {rows}, 1, 4))",
        )
        assert (row.n, row.answered) == (rows, rows if length else 0), row
        report = sparkllm.last_report(spark)
        counts = {n: report.total(n) for n in ("too_long", "engine_error", "requests", "prompt_tokens")}
        figures[name] = {"seconds": seconds, "rows_per_second": rows / seconds, **counts}
    spark.conf.unset("spark.sparkllm.maxModelLen")
    return figures


def many_columns(spark: SparkSession, columns: int) -> dict[str, Any]:
    """Fields of very different numbers of values, so that there is an order to find; and the search per row."""
    spark.conf.set("spark.sparkllm.maxModelLen", "100000")
    spark.conf.set("spark.sparkllm.tasks", "2")  # the search for an order takes a core, other than the engine
    timed(spark, FEW)
    fields = ", ".join(f"concat('v', hash(id, {i}) % {1 + i * i}) AS field_{i}" for i in range(columns))
    names = ", ".join(f"field_{i}" for i in range(columns))
    spark.sql(f"SELECT {fields} FROM range(5000)").write.mode("overwrite").saveAsTable("wide")
    figures: dict[str, Any] = {"columns": columns, "rows": 5000}
    for order in ("fixed", "rows+fields"):
        began = time.perf_counter()
        spark.sql(f"EXPLAIN SELECT llm('Is it good?', {names}, order => '{order}') FROM wide").collect()
        planned = time.perf_counter() - began
        sql = f"SELECT count(llm('Is it good?', {names}, order => '{order}')) AS answered FROM wide"
        seconds, row = timed(spark, sql)
        assert row.answered == 5000, row
        report = sparkllm.last_report(spark)
        hits = report.total("cached_data_tokens") / (report.total("prompt_tokens") - report.total("static_tokens"))
        figures[order] = {"explain_seconds": planned, "seconds": seconds, "data_hits": hits}
    spark.sql("DROP TABLE wide")
    spark.conf.unset("spark.sparkllm.maxModelLen")
    spark.conf.unset("spark.sparkllm.tasks")
    return figures


def many_partitions(spark: SparkSession, partitions: int) -> dict[str, Any]:
    """Ten rows each, not brought together; beside the same query without a call, which is Spark's own part."""
    spark.conf.set("spark.sparkllm.optimizer.coLocate", "false")
    figures: dict[str, Any] = {"partitions": partitions, "rows": 10 * partitions}
    source = f"(SELECT string(id) AS text FROM range(0, {10 * partitions}, 1, {partitions}))"
    for name, value in (("without a call", "reverse(text)"), ("with a call", "llm('Is it good?', text)")):
        seconds, row = timed(spark, f"SELECT count({value}) AS answered FROM {source}")
        assert row.answered == 10 * partitions, row
        figures[name] = {"seconds": seconds, "ms_per_partition": 1000 * seconds / partitions}
    spark.conf.set("spark.sparkllm.optimizer.coLocate", "true")
    return figures


if __name__ == "__main__":
    main()
