"""What sparkllm takes beside the engine: LLM-SQL's queries on a dry-run engine that answers at a fixed rate.

    python -m bench.llmsql.overhead --data FOLDER --json bench/results/llmsql_overhead.json

An engine that takes no time tells how many requests a second come through at most, and how many prompt tokens they
compute; then one that takes so long for those tokens that it answers --rate requests a second, as a fast GPU does with
a small model. `beside` is what such a query takes longer than requests by rate, in %, and parts are where the seconds
of each kind go (where_time_goes.py).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

import sparkllm
from bench.llmsql.show import PARTS, spread
from bench.llmsql.suite import found, queries, read
from bench.llmsql.where_time_goes import WhereTimeGoes
from bench.machine import machine
from sparkllm.backend.client import connect

QUERIES = ("filter_beer", "filter_tweets", "multi_tweets")


def main() -> None:
    """Run, write and print."""
    args = arguments()
    command = f"python -m bench.llmsql.overhead --data FOLDER --rate {args.rate:g} --repeats {args.repeats}"
    record: dict[str, Any] = {"command": command, **machine(), "rate": args.rate, "queries": {}}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), args.data)
        for name in args.queries:
            record["queries"][name] = stage.figures(name, args.rate, args.repeats)
            if args.json:
                args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        stage.close()
    print(show(record))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.llmsql.overhead", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--queries", nargs="+", default=list(QUERIES))
    parser.add_argument("--rate", type=float, default=3000, help="requests a second of the engine")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


class Stage:
    """A session on a dry-run engine, with the suite's tables as Parquet files in `folder`."""

    def __init__(self, folder: Path, data: Path) -> None:
        root = str(Path(__file__).parents[2])
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        times = folder / "times"
        times.mkdir()
        self._where = WhereTimeGoes(times)
        quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
        self._spark: SparkSession = sparkllm.session(
            model="demo",
            engine="dry-run",
            ledger="off",
            progress="off",
            optimizer_learn_selectivity=False,
            **quiet,
            **self._where.conf,
        )
        there, _ = found(data)
        for name, source in there.items():
            pq.write_table(read(source), folder / f"{name}.parquet", compression="none", use_dictionary=False)
            self._spark.read.parquet(str(folder / f"{name}.parquet")).createOrReplaceTempView(name)

    def close(self) -> None:
        """End engine and session."""
        sparkllm.stop(self._spark)
        self._spark.stop()

    def figures(self, name: str, rate: float, repeats: int) -> dict[str, Any]:
        """Of one query: an engine that takes no time, then one of that rate."""
        [text] = [query.text for query in queries() if query.name == name]
        self._spark.conf.set("spark.sparkllm.dryRunTokensPerSecond", "0")
        self._run(text)  # workers and engine are there
        free = [self._run(text) for _ in range(repeats)]
        each = (free[0]["prompt_tokens"] - free[0]["cached_tokens"]) / free[0]["requests"]
        self._spark.conf.set("spark.sparkllm.dryRunTokensPerSecond", str(rate * each))
        self._run(f"{text.rstrip().rstrip(';')} LIMIT 1")
        return {"free": free, "at rate": [self._run(text) for _ in range(repeats)]}

    def _run(self, text: str) -> dict[str, Any]:
        settings = {k: v for k, v in self._spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
        engine = connect(sparkllm.LLMConfig.from_spark(settings), None, self._spark.sparkContext.applicationId)
        engine.reset_prefix_cache()
        self._where.begin(self._spark)
        began = time.perf_counter()
        self._spark.sql(text).write.format("noop").mode("overwrite").save()
        seconds = time.perf_counter() - began
        report = sparkllm.last_report(self._spark)
        counts = {n: report.total(n) for n in ("rows", "requests", "prompt_tokens", "cached_tokens")}
        return {"seconds": seconds, **counts, "where": self._where.parts(self._spark, seconds)}


def show(record: dict[str, Any]) -> str:
    """The figures as Markdown."""
    rows: list[tuple[str, ...]] = [("query", "requests", "engine", "seconds", "requests/s", "beside, %", *PARTS)]
    rows.append(("---", "---:", "---", *["---:"] * (len(rows[0]) - 3)))
    for name, kinds in record["queries"].items():
        for kind, runs in kinds.items():
            seconds, requests = [run["seconds"] for run in runs], runs[0]["requests"]
            beside = [100 * (s * record["rate"] / requests - 1) for s in seconds]
            whole = sum(seconds)
            parts = (f"{100 * sum(run['where'].get(part, 0.0) for run in runs) / whole:.1f}" for part in PARTS)
            figures = spread(seconds), f"{requests / median(seconds):,.0f}", spread(beside) if kind != "free" else ""
            rows.append((name, f"{requests:,}", kind, *figures, *parts))
    return "\n".join(["Parts in % of the seconds.", "", *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    main()
