"""What sparkllm.explain() says before a query against what its report says after: calls, tokens, prefix hits, seconds.

    python bench/estimate.py --data FOLDER --json bench/results/estimate_demo.json

Whole tables run dry (spark.sparkllm.engine=dry-run: the prompts of the real engine, no answers); slices of them run on
the real engine, with the demo model. Before each run the table is scanned and the engine calibrated on some hundred of
its prompts, the prefix cache is emptied, and a batch of other data is thrown away; the ledger is off, so that the run
asks all of it again. Repeat r takes the r-th slice of --rows rows. Seconds are those of the report, without starts.
`python bench/show_estimate.py FILE` prints the table.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
from machine import machine
from main_job import settings, write
from pyspark.sql import SparkSession
from show_estimate import table

import sparkllm
from sparkllm.backend.client import EngineClient, connect

BEER = "`beer/name`, `beer/style`, `review/overall`, `review/taste`, `review/profileName`"
JOBS = {
    "filter": ("beer.csv", f"SELECT * FROM t WHERE llm_filter('Is the beer of European origin?', {BEER})"),
    "classify": ("airline_tweets.csv", "SELECT llm('classify', text) AS a FROM t"),
    "extract": ("movies_small.csv", "SELECT llm_extract(review_content, 'good BOOLEAN, stars INT') AS a FROM t"),
    "text": ("movies_small.csv", "SELECT llm('What is it about?', review_content, max_tokens => 12) AS a FROM t"),
}
WHOLE = {
    "beer.csv": "SELECT llm('Based on the beer, is it of European origin? Answer YES or NO.', *) AS a FROM t",
    "airline_tweets.csv": "SELECT llm('classify', text) AS a FROM t",
    "movies_small.csv": "SELECT llm('Is it a good film?', movie_title, review_content, movie_info) AS a FROM t",
}
OTHER = "SELECT llm('Is it long?', string(id * 7919)) AS a FROM range(64)"
QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}


def main() -> None:
    """Whole tables, then slices; the JSON is written after each."""
    args = arguments()
    spark = sparkllm.session(model=args.model, master="local[2]", ledger="off", start_notice_seconds=0, **QUIET)
    result: dict[str, Any] = {"command": command(args), **machine(), "model": Path(args.model).name}
    result |= {"whole": [], "runs": []}
    for name, query in WHOLE.items() if not args.runs_only else ():
        result["whole"].append(whole(spark, args, name, query))
        write(result, args.json)
    spark.conf.set("spark.sparkllm.engine", "vllm")
    engine = connect(settings(spark), None, spark.sparkContext.applicationId) if args.repeats else None
    for repeat in range(args.repeats):
        for job in args.jobs:
            result["runs"].append(compared(spark, engine, args, job, repeat))
            write(result, args.json)
    print(table(result))
    sparkllm.stop()
    spark.stop()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA", "."), help="folder of the tables")
    parser.add_argument("--model", default="demo", help="demo, or the folder of a model")
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--rows", type=int, default=2000, help="rows of a slice on the real engine")
    parser.add_argument("--repeats", type=int, default=3, help="of each job; 0: only the whole tables")
    parser.add_argument("--runs-only", action="store_true", help="without the whole tables")
    parser.add_argument("--json", help="write every run to this file")
    return parser.parse_args()


def command(args: argparse.Namespace) -> str:
    """How to make the figures again; folders of this machine are left out."""
    some = "" if args.jobs == list(JOBS) else f" --jobs {' '.join(args.jobs)}"
    only = " --runs-only" if args.runs_only else ""
    name = Path(args.model).name
    return (
        f"python bench/estimate.py --data FOLDER --model {name}{some} --rows {args.rows} --repeats {args.repeats}{only}"
    )


def whole(spark: SparkSession, args: argparse.Namespace, name: str, query: str) -> dict[str, Any]:
    """A whole table, scanned, against a dry run."""
    spark.conf.set("spark.sparkllm.engine", "dry-run")
    opened(spark, pd.read_csv(Path(args.data) / name, dtype=str), f"whole_{name}")
    found, seconds = estimate(spark, query, calibrate=False)
    return {"table": name, "query": query, "explained_in": seconds, "estimate": found, "run": ran(spark, query)}


def compared(
    spark: SparkSession, engine: EngineClient | None, args: argparse.Namespace, job: str, repeat: int
) -> dict[str, Any]:
    """One slice on the real engine: the estimate, then the run."""
    assert engine is not None
    name, query = JOBS[job]
    rows = pd.read_csv(Path(args.data) / name, dtype=str)
    slices = max(1, len(rows) // args.rows)
    begin = repeat % slices * args.rows
    opened(spark, rows.iloc[begin : begin + args.rows], f"{job}_{repeat}")
    engine.reset_prefix_cache()
    found, seconds = estimate(spark, query, calibrate=True)
    engine.reset_prefix_cache()
    spark.sql(OTHER).collect()
    run = ran(spark, query)
    print(f"{job} {repeat}: {found['seconds']:.1f} s estimated, {run['seconds']:.1f} s run", flush=True)
    return {
        "job": job,
        "table": name,
        "query": query,
        "repeat": repeat,
        "explained_in": seconds,
        "estimate": found,
        "run": run,
    }


def opened(spark: SparkSession, rows: pd.DataFrame, name: str) -> None:
    """As a Parquet folder, which becomes the view `t`."""
    folder = Path(spark.conf.get("spark.local.dir", "/tmp")) / f"sparkllm-bench-estimate-{os.getpid()}"  # type: ignore[arg-type]
    folder.mkdir(exist_ok=True)
    rows.to_parquet(folder / f"{name}.parquet", index=False)
    spark.read.parquet(str(folder / f"{name}.parquet")).createOrReplaceTempView("t")


def estimate(spark: SparkSession, query: str, calibrate: bool) -> tuple[dict[str, Any], float]:
    """What explain() says, and how long it took."""
    began = time.perf_counter()
    found = sparkllm.explain(query, spark, scan=True, calibrate=calibrate)
    took = time.perf_counter() - began
    totals = [call.total for call in found.calls if call.total is not None]
    names = ("calls", "prompt_tokens", "cached_tokens", "output_tokens")
    counts = {name: found.total(name) for name in names}
    exact = all(total.exact for total in totals)
    speeds = [vars(total.speed) for total in totals if total.speed is not None]
    return {**counts, "hits": found.prefix_hit_rate, "seconds": found.seconds, "exact": exact, "speeds": speeds}, took


def ran(spark: SparkSession, query: str) -> dict[str, Any]:
    """Run it; what its report says."""
    spark.sql(query).write.format("noop").mode("overwrite").save()
    report = sparkllm.last_report(spark)
    names = ("requests", "prompt_tokens", "cached_tokens", "output_tokens")
    counts = {"calls" if name == "requests" else name: report.total(name) for name in names}
    return {**counts, "hits": report.prefix_hit_rate, "seconds": report.running_seconds}


if __name__ == "__main__":
    main()
