"""A query that copies its input, with and without speculative decoding: output tokens a second, end to end through SQL.

    python bench/make_copying_model.py COPYING
    python bench/speculation_query.py --data FOLDER --model COPYING --json bench/results/speculation_query.json

The query extracts the text of each tweet into a typed answer, `llm('Extract the text', text, schema => 'text STRING')`;
drafts come from the prompt (n-grams), and the answer's grammar is in force. Modes take turns, each run in a process of
its own with a new engine; a first query starts the engine and is thrown away. It ends with 1 where modes give different
answers, or where speculation was not active.
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
from typing import Any

import numpy as np
import pandas as pd
from machine import machine

import sparkllm

MODES = ("off", "ngram", "auto")
CALL = "llm('Extract the text', text, schema => 'text STRING')"


def main() -> int:
    """Measure, print and write."""
    args = arguments()
    if args.mode:
        print(json.dumps(run(args)))
        return 0
    command = f"python bench/speculation_query.py --data FOLDER --model {Path(args.model).name}"
    record: dict[str, Any] = {"command": f"{command} --rows {args.rows} --repeats {args.repeats}", **machine()}
    record |= {"load": os.getloadavg(), "call": CALL, "runs": {mode: [] for mode in args.modes}}
    for repeat in range(args.repeats):
        for mode in args.modes if repeat % 2 == 0 else args.modes[::-1]:
            record["runs"][mode].append(in_a_process_of_its_own(args, mode))
            print(f"{mode}: {record['runs'][mode][-1]}", file=sys.stderr, flush=True)
            if args.json:
                args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines(record)))
    runs = [r for mode in args.modes for r in record["runs"][mode]]
    active = all(
        r["speculation"].get("drafted", 0) for mode in args.modes if mode != "off" for r in record["runs"][mode]
    )
    return 0 if len({r["answers"] for r in runs}) == 1 and active else 1


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
        model=args.model, master="local[2]", max_tokens=128, speculation=args.mode, max_model_len=1024, **conf
    )
    table = pd.read_csv(args.data / "airline_tweets.csv", dtype=str)[["text"]]
    first, rows = (spark.createDataFrame(part) for part in (table.tail(64), table.head(args.rows)))
    first.selectExpr(CALL).write.format("noop").mode("overwrite").save()
    started = time.perf_counter()
    answers = rows.selectExpr("text", f"{CALL}.text AS copy").collect()
    seconds = time.perf_counter() - started
    report = sparkllm.last_report(spark)
    paid = report.paid or {}
    given = sorted((row.text, row.copy or "") for row in answers)
    result = {
        "seconds": seconds,
        "output_tokens": report.total("output_tokens"),
        "tokens_per_second": report.total("output_tokens") / seconds,
        "copied": sum(copy == text for text, copy in given) / len(given),
        "answers": zlib.crc32(repr(given).encode()),
        "speculation": {n.removeprefix("speculation_"): v for n, v in paid.items() if n.startswith("speculation_")},
    }
    sparkllm.stop()
    spark.stop()
    return result


def lines(record: dict[str, Any]) -> list[str]:
    """A line for each mode."""
    found, out = record["runs"], []
    for mode, runs in found.items():
        speed = median(r["tokens_per_second"] for r in runs)
        ratios = [r["tokens_per_second"] / o["tokens_per_second"] for r, o in zip(runs, found["off"], strict=True)]
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        sums = runs[-1]["speculation"]
        tokens = 1 + sums["accepted"] / sums["decodes"] if sums.get("decodes") else 1.0
        out.append(
            f"{mode:<6} {speed:7.0f} output tokens/s, {middle:.2f}x off ({low:.2f}-{high:.2f}), {tokens:.2f} tokens a "
            f"request and step, {100 * runs[-1]['copied']:.0f} % of the texts copied whole"
        )
    return out


if __name__ == "__main__":
    sys.exit(main())
