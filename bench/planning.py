"""What the rules cost while a query is planned: a 20-join query without calls, and one with ten.

    python bench/planning.py --json bench/results/planning.json

Two Spark processes plan in turns, one with the rules and one that has never heard of them (there, `llm(...)` is
`concat(...)`); nothing runs. For each query:

    rules      time inside the rules alone: Spark's own tracker of optimizer rules, and the extraction of calls, which
               runs before it and is timed from outside (Python's way into the JVM included)
    planning   the whole way from SQL text to physical plan, with and without; their difference is all that the
               rules, their check and their strategy cost, and the noise of planning itself

Medians of rounds, each the median of some plannings; in brackets the smallest and the largest round.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from machine import machine
from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

import sparkllm

JOINS, CALLS = 20, 10
TARGET_MS = {"joins": 5, "calls": 100}
WARM = 40
CONF = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}


def main() -> None:
    """Plan in turns, print and write."""
    args = arguments()
    if args.worker:
        work(args.worker)
        return
    workers = {way: start(way) for way in ("with", "without")}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in QUERIES}
    for _ in range(args.rounds):
        for name in QUERIES:
            timed = {way: ask(worker, {"query": name, "times": args.times}) for way, worker in workers.items()}
            rounds[name].append({"rules": timed["with"]["rules"], **{way: timed[way]["planning"] for way in timed}})
    for worker in workers.values():
        worker.communicate("")
    results = [result(name, found) for name, found in rounds.items()]
    command = f"python bench/planning.py --rounds {args.rounds} --times {args.times}"
    if args.json:
        record = {"command": command, **machine(), "unit": "ms", "results": results}
        Path(args.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table_of(results))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--times", type=int, default=20, help="plannings of a round")
    parser.add_argument("--json", help="write the result to this file")
    parser.add_argument("--worker", choices=["with", "without"], help=argparse.SUPPRESS)
    return parser.parse_args()


def joins() -> str:
    """Twenty joins, a filter and an aggregate; no call."""
    tables = "".join(f" JOIN t{i} ON t{i - 1}.k{i - 1} = t{i}.id AND t{i}.n > {i}" for i in range(1, JOINS + 1))
    names = ", ".join(f"t{i}.name AS name{i}" for i in range(JOINS + 1))
    wide = f"SELECT t0.id, {names} FROM t0{tables} WHERE t0.n < 500"
    return f"SELECT name0, count(*), max(name{JOINS}) FROM ({wide}) GROUP BY name0 ORDER BY 2 DESC LIMIT 10"


def calls() -> str:
    """Ten calls: in the SELECT, over another call, in the WHERE, in a join's side and over groups."""
    selected = ", ".join(f"llm('Is it number {i}?', t0.name, t1.name) AS c{i}" for i in range(CALLS - 4))
    inner = f"SELECT t0.id, t0.name, t0.n, {selected} FROM t0 JOIN t1 ON t0.k0 = t1.id"
    where = "llm('Is it good?', name) = 'yes' AND llm('Is it short?', c0) = 'yes' AND n < 50"
    grouped = f"SELECT c1, max(name) AS m, count(*) AS n FROM ({inner}) WHERE {where} AND c2 <> c3 GROUP BY c1, c4, c5"
    return f"SELECT *, llm('Which?', m) FROM ({grouped}) WHERE llm('Is it large?', m, n) = 'yes' ORDER BY n LIMIT 9"


QUERIES: dict[str, Callable[[], str]] = {"joins": joins, "calls": calls}


def start(way: str) -> subprocess.Popen[str]:
    """A worker that has warmed up."""
    command = [sys.executable, __file__, "--worker", way]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for name in QUERIES:
        ask(worker, {"query": name, "times": WARM})
    return worker


def ask(worker: subprocess.Popen[str], task: dict[str, Any]) -> dict[str, float]:
    """Medians of one round, in ms."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(task) + "\n")
    worker.stdin.flush()
    for line in worker.stdout:
        if line.startswith("{"):
            return dict(json.loads(line))
    raise RuntimeError("the worker has ended; see its messages above")


def work(way: str) -> None:
    """Plan what stdin asks for."""
    if way == "with":
        spark = sparkllm.session(master="local[2]", **CONF)
    else:
        builder: Any = SparkSession.builder.master("local[2]")
        for key, value in CONF.items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
    for i in range(JOINS + 1):
        columns = ["id", f"id % 100 AS k{i}", "concat('name ', id) AS name", "id * 7 AS n"]
        spark.range(1_000_000).selectExpr(*columns).createOrReplaceTempView(f"t{i}")
    for line in sys.stdin:
        task = json.loads(line)
        sql = QUERIES[task["query"]]()
        found = [
            plan(spark, sql if way == "with" else re.sub(r"\bllm\(", "concat(", sql)) for _ in range(task["times"])
        ]
        print(json.dumps({key: median(one[key] for one in found) for key in found[0]}), flush=True)


def plan(spark: SparkSession, sql: str) -> dict[str, float]:
    """Times of one planning, in ms."""
    begin = time.perf_counter()
    query: Any = spark.sql(sql)._jdf.queryExecution()
    query.executedPlan()
    whole = time.perf_counter() - begin
    rules, inside = query.tracker().rules(), 0.0
    names = rules.keysIterator()
    while names.hasNext():
        name = names.next()
        if name.startswith("sparkllm."):
            inside += rules.apply(name).totalTimeNs() / 1e6
    return {"planning": 1000 * whole, "rules": inside + (extraction(spark, query) if inside else 0.0)}


def extraction(spark: SparkSession, query: Any) -> float:
    """ExtractCalls and the check, once more on the analysed plan."""
    loader = spark._jsparkSession.sharedState().jarClassLoader()
    check = loader.loadClass("sparkllm.catalyst.CheckCalls$").getField("MODULE$").get(None)
    rule = loader.loadClass("sparkllm.catalyst.ExtractCalls$").getField("MODULE$").get(None).apply(False)
    analysed = query.analyzed()
    begin = time.perf_counter()
    check.apply(analysed)
    rule.apply(analysed)
    return 1000 * (time.perf_counter() - begin)


def result(name: str, rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Medians and spreads over the rounds."""
    found = {key: [one[key] for one in rounds] for key in rounds[0]}
    found["difference"] = [one["with"] - one["without"] for one in rounds]
    spreads = {k: {"median": median(v), "least": min(v), "most": max(v)} for k, v in found.items()}
    return {"query": name, "target": TARGET_MS[name], **spreads}


def table_of(results: list[dict[str, Any]]) -> str:
    """The results as text."""
    shown = Table("ms", "target", "rules", "planning with", "without", "difference")
    names = {"joins": f"{JOINS} joins, no call", "calls": f"{CALLS} calls"}
    for r in results:
        cells = [
            f"{r[k]['median']:.1f} ({r[k]['least']:.1f} to {r[k]['most']:.1f})"
            for k in ("rules", "with", "without", "difference")
        ]
        shown.add_row(names[r["query"]], f"< {r['target']}", *cells)
    console = Console(width=130)
    with console.capture() as text:
        console.print(shown)
    return text.get()


if __name__ == "__main__":
    main()
