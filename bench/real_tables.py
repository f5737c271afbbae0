"""The main job on two real tables, through Spark SQL: every row answered, equal rows alike, the report printed.

    python bench/real_tables.py --data FOLDER [--model demo] [--rows N] [--json OUT]

FOLDER (or the variable SPARKLLM_DATA) holds beer.csv (RateBeer reviews, the table of LLM-SQL, MLSys 2025) and
airline_tweets.csv (tweets to US airlines). What is missing there is said and left out. Exit code 1 if a row went
without an answer or two equal rows got different ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import machine
from pyspark.sql import SparkSession

import sparkllm

JOBS = {
    "beer.csv": (
        "llm('Based on the beer, is it of European origin? Answer YES or NO.', *, labels => array('YES', 'NO'))"
    ),
    "airline_tweets.csv": "llm('classify', text)",
}


def main() -> int:
    """Run every job whose table is there."""
    args = arguments()
    spark = sparkllm.session(
        model=args.model,
        master=f"local[{args.cores}]",
        app_name="real_tables",
        ledger="off",
        **{"spark.ui.enabled": "false"},
    )
    results, good = [], True
    for name, call in JOBS.items():
        path = Path(args.data) / name
        if not path.exists():
            print(f"{name}: not found in {args.data}, left out")
            continue
        result = run(spark, path, call, args.rows)
        good &= result["unanswered"] == 0 and result["unequal"] == 0
        results.append(result)
    if args.json:
        record = {
            "command": f"python bench/real_tables.py --data FOLDER --model {Path(args.model).name} --rows {args.rows}",
            "machine": machine(),
            "model": Path(args.model).name,
            "jobs": results,
        }
        Path(args.json).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    sparkllm.stop()
    spark.stop()
    return 0 if good else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA", "."), help="folder of the tables")
    parser.add_argument("--model", default="demo", help="path or Hugging Face id")
    parser.add_argument("--rows", type=int, default=0, help="only the first N rows of each table; 0 is all")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 2, help="cores for Spark")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def run(spark: SparkSession, path: Path, call: str, rows: int) -> dict:
    """One table through one call; prints the report."""
    table = spark.read.csv(str(path), header=True, multiLine=True, escape='"')
    table = table.limit(rows) if rows else table
    table.createOrReplaceTempView("t")
    started = time.perf_counter()
    answers: Any = spark.sql(f"SELECT *, {call} AS answer FROM t").toPandas()
    seconds = time.perf_counter() - started
    report = sparkllm.last_report(spark)
    fields = list(report.calls[0].call.fields)
    asked = answers[answers[fields].notna().any(axis=1)]
    unanswered = int(asked["answer"].isna().sum())
    unequal = int((asked.groupby(fields, dropna=False)["answer"].nunique() > 1).sum())
    print(f"\n{path.name}: {call}\n{report}\nanswers: {answers['answer'].value_counts(dropna=False).to_dict()}")
    print(f"rows without an answer: {unanswered}; groups of equal rows with different answers: {unequal}", flush=True)
    counts = {k: v for k, v in asdict(report.calls[0]).items() if k != "call"}
    return {
        "table": path.name,
        "call": call,
        "seconds": seconds,
        "unanswered": unanswered,
        "unequal": unequal,
        **counts,
    }


if __name__ == "__main__":
    sys.exit(main())
