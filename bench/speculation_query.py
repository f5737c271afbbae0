"""Queries with and without speculative decoding: output tokens and rows a second, end to end through SQL.

    python bench/make_copying_model.py COPYING
    python bench/speculation_query.py --data FOLDER --model COPYING --json bench/results/speculation_query.json

extract   the text of each tweet into a typed answer: drafts come from the prompt (n-grams), a grammar is in force
tail      the same for eight rows, as at the end of any job: a small batch, where a step has room for drafts
classify  one of three labels for each tweet: nothing to draft, so speculation can only cost

Modes take turns, each run in a process of its own with a new engine; a first query starts it and is thrown away.
It ends with 1 where modes give different answers, or where speculation drafted nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from machine import machine

import sparkllm

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MODES = ("off", "ngram", "auto")
EXTRACT, CLASSIFY = "llm('Extract the text', text, schema => 'text STRING').text", "llm('classify', text)"
TAIL = 8  # rows


def main() -> int:
    """Measure, print and write."""
    args = arguments()
    if args.mode:
        print(json.dumps(run(args)))
        return 0
    command = f"python bench/speculation_query.py --data FOLDER --model {Path(args.model).name}"
    record: dict[str, Any] = {"command": f"{command} --rows {args.rows} --repeats {args.repeats}", **machine()}
    record |= {"load": os.getloadavg(), "runs": {mode: [] for mode in args.modes}}
    for repeat in range(args.repeats):
        for mode in args.modes if repeat % 2 == 0 else args.modes[::-1]:
            record["runs"][mode].append(in_a_process_of_its_own(args, mode))
            print(f"{mode}: {record['runs'][mode][-1]}", file=sys.stderr, flush=True)
            if args.json:
                args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines(record)))
    runs = [run for mode in args.modes for run in record["runs"][mode]]
    alike = all(len({run[job]["answers"] for run in runs}) == 1 for job in runs[0])
    drafting = [run for mode in args.modes if mode != "off" for run in record["runs"][mode]]
    return 0 if alike and all(run["extract"]["speculation"].get("drafted") for run in drafting) else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPARKLLM_DATA", ".")), help="folder")
    parser.add_argument("--model", required=True, help="folder of make_copying_model.py")
    parser.add_argument("--modes", nargs="+", default=list(MODES), help="of spark.sparkllm.speculation")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_a_process_of_its_own(args: argparse.Namespace, mode: str) -> dict[str, Any]:
    """One run: a new Spark session, a new engine."""
    mine = ["--data", str(args.data), "--model", args.model, "--rows", str(args.rows), "--mode", mode]
    output = subprocess.check_output([sys.executable, __file__, *mine], text=True)
    return dict(json.loads(output.splitlines()[-1]))


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the query, tokens of its answers, and what speculation did."""
    conf = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    spark = sparkllm.session(
        model=args.model,
        master="local[2]",
        max_tokens=128,
        speculation=args.mode,
        max_model_len=1024,
        ledger="off",
        **conf,
    )
    texts = pd.read_csv(args.data / "airline_tweets.csv", dtype=str)[["text"]]
    first, tail, rows = (
        spark.createDataFrame(part) for part in (texts[-64:], texts[-64 - TAIL : -64], texts[: args.rows])
    )
    first.selectExpr(EXTRACT).write.format("noop").mode("overwrite").save()
    jobs = {"extract": (rows, EXTRACT), "tail": (tail, EXTRACT), "classify": (rows, CLASSIFY)}
    result = {name: measured(spark, *job) for name, job in jobs.items()}
    sparkllm.stop()
    spark.stop()
    return result


def measured(spark: SparkSession, rows: DataFrame, call: str) -> dict[str, Any]:
    """One query."""
    started = time.perf_counter()
    answers = rows.selectExpr("text", f"{call} AS answer").collect()
    seconds = time.perf_counter() - started
    report = sparkllm.last_report(spark)
    paid = report.paid or {}
    given = sorted((row.text, row.answer or "") for row in answers)
    return {
        "seconds": seconds,
        "rows_per_second": len(answers) / seconds,
        "output_tokens": report.total("output_tokens"),
        "tokens_per_second": report.total("output_tokens") / seconds,
        "copied": sum(answer == text for text, answer in given) / len(given),
        "answers": zlib.crc32(repr(given).encode()),
        "speculation": {n.removeprefix("speculation_"): v for n, v in paid.items() if n.startswith("speculation_")},
    }


def lines(record: dict[str, Any]) -> list[str]:
    """A line for each job and mode."""
    found = record["runs"]
    return [line(job, mode, found) for job in next(iter(found.values()))[0] for mode in found]


def line(job: str, mode: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """Medians; ratios turn by turn."""
    runs = [run[job] for run in found[mode]]
    plain = [run[job] for run in found["off"]]
    ratios = [r["tokens_per_second"] / o["tokens_per_second"] for r, o in zip(runs, plain, strict=True)]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    sums = runs[-1]["speculation"]
    tokens = 1 + sums["accepted"] / sums["decodes"] if sums.get("decodes") else 1.0
    copied = "" if job == "classify" else f", {100 * runs[-1]['copied']:.0f} % of the texts copied whole"
    return (
        f"{job:<9}{mode:<6} {median(r['tokens_per_second'] for r in runs):7.0f} output tokens/s, {middle:.2f}x off "
        f"({low:.2f}-{high:.2f}), {tokens:.2f} tokens a request and step{copied}"
    )


if __name__ == "__main__":
    sys.exit(main())
