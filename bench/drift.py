"""Answers in the optimizer's order beside those in the query's own, on the beer reviews (`sparkllm.check_drift`).

    python bench/drift.py --data FOLDER --json bench/results/drift_demo.json

FOLDER (or the variable SPARKLLM_DATA) holds beer.csv, the table of LLM-SQL (MLSys 2025).
Rows are taken by chance from all of the table.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from machine import machine
from pyspark.sql import functions as F

import sparkllm

FIELDS = "`beer/name`, `beer/style`, `review/overall`, `review/taste`"
CALLS = {
    "filter over all fields": "llm_filter('Based on the beer, is it of European origin?', *)",
    "filter over four fields": f"llm_filter('Based on the beer, is it of European origin?', {FIELDS})",
    "classes over four fields": f"llm('classify', {FIELDS})",
    "score over four fields": f"llm_score('How good is the beer, from 0 to 10?', {FIELDS})",
}


def main() -> None:
    """Check every call; print and write the figures."""
    args = arguments()
    quiet = {"spark.ui.enabled": "false", "spark.log.level": "ERROR"}
    spark = sparkllm.session(model=args.model, master="local[2]", ledger="off", **quiet)
    table = spark.read.csv(str(Path(args.data) / "beer.csv"), header=True, multiLine=True, escape='"')
    table.orderBy(F.rand(args.seed)).createOrReplaceTempView("t")
    found: list[dict[str, Any]] = []
    for name, call in CALLS.items():
        [drift] = sparkllm.check_drift(f"SELECT {call} FROM t", spark, sample=args.sample, seed=args.seed).calls
        low, high = drift.interval
        figures = {"name": name, "call": call, "rows": drift.rows, "same": drift.same, "agreement": drift.agreement}
        found.append({**figures, "low": low, "high": high, "field_order": drift.field_order})
        print(f"{name}: {drift.same} of {drift.rows} the same ({100 * low:.1f} to {100 * high:.1f} %)", flush=True)
    if args.json:
        command = f"python bench/drift.py --data FOLDER --model {Path(args.model).name} --sample {args.sample}"
        record = {"command": command, "machine": machine(), "seed": args.seed, "calls": found}
        Path(args.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sparkllm.stop(spark)
    spark.stop()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA", "."), help="folder of the table")
    parser.add_argument("--model", default="demo", help="path or Hugging Face id")
    parser.add_argument("--sample", type=int, default=400, help="rows of each call")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of rows")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
