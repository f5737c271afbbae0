"""On against off: what dedup and ordering save, end to end through Spark SQL, on two real tables.

    python bench/main_job.py --data FOLDER --model demo --rows 0 --repeats 3 --json bench/results/main_job_demo.json

Off is prefix caching on, the input's own order of rows and fields, no dedup. On and off alternate; before each run the
prefix cache is emptied and a batch of other data is thrown away. Each table runs as it is and shuffled by a seed (beer
arrives clustered, which flatters every method). Repeat r takes the r-th slice of --rows rows; 0 is the whole table.

The limit of the gain is token arithmetic: bound = tokens computed off / tokens computed on, from the same pair of runs.
`python bench/show_main_job.py FILE` prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from machine import machine
from pyspark.sql import SparkSession
from show_main_job import table

import sparkllm
from sparkllm.backend.client import EngineClient, connect

RULES = ("dedup", "orderFields", "orderRows", "coLocate")
# One token of free text for a model with random weights, which would spell a label letter by letter.
BEER = "'Based on the beer, is it of European origin? Answer YES or NO.', *"
JOBS = {
    "beer.csv": {"demo": f"llm({BEER}, labels => array('YES', 'NO'))", "random": f"llm({BEER})"},
    "airline_tweets.csv": {"demo": "llm('classify', text)", "random": "llm('Is this tweet a complaint?', text)"},
}
ORDERS = ("as is", "shuffled")
OTHER = [(f"row {i} of a table that has nothing to do with it", f"text number {i * 7919 % 1000}") for i in range(64)]


def main() -> None:
    """Run every table as it is and shuffled; write the JSON; print the table."""
    args = arguments()
    conf = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    spark = sparkllm.session(model=args.model, master="local[2]", max_tokens=args.max_tokens, ledger="off", **conf)
    engine = connect(settings(spark), None, spark.sparkContext.applicationId)
    result: dict[str, Any] = {"command": command(args), **machine(), "model": Path(args.model).name, "seed": args.seed}
    result["pairs"] = []
    for name, order, repeat, rows, call in workloads(args):
        modes = ("off", "on") if repeat % 2 == 0 else ("on", "off")
        runs = {mode: run(spark, engine, rows, call, mode) for mode in modes}
        result["pairs"].append({"table": name, "order": order, "repeat": repeat, "rows": len(rows), **runs})
        print(f"{name}, {order}, {repeat}: off {runs['off']['seconds']:.1f} s, on {runs['on']['seconds']:.1f} s")
        write(result, args.json)  # after every pair: a run that is broken off has lost nothing
    print(table(result))
    sparkllm.stop()
    spark.stop()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA", "."), help="folder of the tables")
    parser.add_argument("--model", default="demo", help="demo, or the folder of a model with random weights")
    parser.add_argument("--tables", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), choices=list(ORDERS))
    parser.add_argument("--rows", type=int, default=2000, help="rows of a slice; 0 is the whole table")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=1, help="most output tokens of a free-text answer")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffle")
    parser.add_argument("--json", help="write every run to this file")
    return parser.parse_args()


def workloads(args: argparse.Namespace) -> Iterator[tuple[str, str, int, pd.DataFrame, str]]:
    """(table, its order, repeat, rows, call) of every pair of runs."""
    for name, calls in ((name, JOBS[name]) for name in args.tables):
        table = pd.read_csv(Path(args.data) / name, dtype=str)
        call = calls["demo" if args.model == "demo" else "random"]
        for order in args.orders:
            whole = table if order == "as is" else table.sample(frac=1, random_state=args.seed)
            for repeat in range(args.repeats):
                rows = whole if not args.rows else whole.iloc[repeat * args.rows : (repeat + 1) * args.rows]
                yield name, order, repeat, rows, call


def command(args: argparse.Namespace) -> str:
    """How to make the figures again; folders of this machine are left out."""
    some = "".join(
        f" --{name} {shlex.join(asked)}"
        for name, asked, known in (("tables", args.tables, JOBS), ("orders", args.orders, ORDERS))
        if asked != list(known)
    )
    return (
        f"python bench/main_job.py --data FOLDER --model {Path(args.model).name}{some} --rows {args.rows} "
        f"--repeats {args.repeats} --max-tokens {args.max_tokens} --seed {args.seed}"
    )


def write(result: dict[str, Any], path: str | None) -> None:
    """The result so far as JSON."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def settings(spark: SparkSession) -> sparkllm.LLMConfig:
    """The session's settings, as its tasks read them: the same settings find the same engine."""
    return sparkllm.LLMConfig.from_spark(
        {k: v for k, v in spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
    )


def run(spark: SparkSession, engine: EngineClient, rows: pd.DataFrame, call: str, mode: str) -> dict[str, Any]:
    """One measured run: seconds of the query, and what its report counted."""
    for rule in RULES:
        spark.conf.set(f"spark.sparkllm.optimizer.{rule}", str(mode == "on").lower())
    engine.reset_prefix_cache()
    ask(spark, pd.DataFrame(OTHER, columns=["other", "text"]), call)
    seconds = ask(spark, rows, call)
    report = sparkllm.last_report(spark)
    names = ("rows", "requests", "prompt_tokens", "cached_tokens", "static_tokens", "cached_data_tokens",
             "predicted_tokens", "predicted_data_tokens", "output_tokens")  # fmt: skip
    return {"seconds": seconds, **{name: report.total(name) for name in names}}


def ask(spark: SparkSession, rows: pd.DataFrame, call: str) -> float:
    """Seconds of `SELECT call FROM rows`, every answer read and thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/rows.parquet"
        rows.to_parquet(path, index=False)
        spark.read.parquet(path).createOrReplaceTempView("t")
        started = time.perf_counter()
        spark.sql(f"SELECT {call} AS answer FROM t").write.format("noop").mode("overwrite").save()
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
