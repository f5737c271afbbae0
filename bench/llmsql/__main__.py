"""LLM-SQL's queries by sparkllm, by what users do today, and by sparkllm with one thing off in turn.

    python -m bench.llmsql --data FOLDER --model demo --rows 2000 --repeats 5 --json bench/results/llmsql_demo.json

runs every query whose table is in FOLDER (CSV or Parquet; what is missing is listed with where to get it), over the
table as it is and shuffled by a seed. The contenders of a query take turns in an order that is new in each turn. The
r-th turn takes the r-th slice of --rows rows; 0 is the whole table. Every run is written as soon as it is there.

    python -m bench.llmsql.show RESULT.json > RESULT.md       # the tables, as Markdown, and plots beside it
    python bench/compare.py OLD.json NEW.json                 # a verdict for each query
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

import sparkllm
from bench.llmsql.contenders import CONTENDERS, Stage
from bench.llmsql.show import show
from bench.llmsql.suite import Query, found, queries, read
from bench.machine import machine

ORDERS = ("as is", "shuffled")


def main() -> int:
    """Run what is asked for; write the JSON; print the tables."""
    args = arguments()
    there, missing = found(args.data)
    wanted = [q for q in queries() if q.table in there and (not args.queries or q.name in args.queries)]
    for table, why in missing.items():
        print(f"{table}: left out, {why}", file=sys.stderr)
    if not wanted:
        print(f"expected a table of the suite in {args.data}; found none", file=sys.stderr)
        return 1
    record: dict[str, Any] = {"command": command(args), **machine(), "model": Path(args.model).name, "seed": args.seed}
    record |= {"missing": missing, "contenders": {name: CONTENDERS[name].means for name in args.contenders}}
    record |= {"bounds": {}, "runs": []}
    stage = Stage(args.model, args.max_tokens)
    try:
        for run in runs(stage, wanted, {name: read(there[name]) for name in {q.table for q in wanted}}, args, record):
            record["runs"].append(run)
            print(f"{run['query']}, {run['order']}, {run['turn']}, {run['contender']}: {run['seconds']:.1f} s",
                  file=sys.stderr, flush=True)  # fmt: skip
            if args.json:
                args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    finally:
        stage.close()
    print(show(record))
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.llmsql", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--model", default="demo", help="demo, or the folder of a model")
    parser.add_argument("--queries", nargs="+", default=[], help="some of them, by name; all whose table is there")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), choices=list(ORDERS))
    parser.add_argument("--rows", type=int, default=2000, help="of a slice; 0 is the whole table")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=16, help="of an answer without labels")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffle and of the turns' order")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    return parser.parse_args()


def command(args: argparse.Namespace) -> str:
    """How to make the figures again; folders of this machine are left out."""
    some = "".join(
        f" --{name} {' '.join(json.dumps(one) if ' ' in one else one for one in asked)}"
        for name, asked, known in (
            ("queries", args.queries, []),
            ("contenders", args.contenders, list(CONTENDERS)),
            ("orders", args.orders, list(ORDERS)),
        )
        if asked != known
    )
    return (
        f"python -m bench.llmsql --data FOLDER --model {Path(args.model).name}{some} --rows {args.rows} "
        f"--repeats {args.repeats} --max-tokens {args.max_tokens} --seed {args.seed}"
    )


def runs(
    stage: Stage, wanted: list[Query], tables: dict[str, pa.Table], args: argparse.Namespace, record: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Every run, turn by turn."""
    order_of_turns = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        for query in wanted:
            for order in args.orders:
                for turn in range(args.repeats):
                    path = slice_of(tables[query.table], order, turn, args, Path(folder))
                    rows = stage.spark.read.parquet(str(path))
                    if not turn:
                        record["bounds"][f"{query.name}, {order}"] = bound(stage, query, rows)
                    names = order_of_turns.sample(args.contenders, len(args.contenders))
                    for name in names:
                        found = stage.run(name, query, rows)
                        yield {"query": query.name, "order": order, "turn": turn, "contender": name} | found


def slice_of(table: pa.Table, order: str, turn: int, args: argparse.Namespace, folder: Path) -> Path:
    """The rows of a turn, in a file; slices begin anew where the table ends."""
    if order == "shuffled":
        table = table.take(pa.array(np.random.default_rng(args.seed).permutation(table.num_rows)))
    if args.rows and args.rows < table.num_rows:
        begin = turn * args.rows % (table.num_rows - args.rows + 1)
        table = table.slice(begin, args.rows)
    path = folder / "rows.parquet"
    pa.parquet.write_table(table, path)
    return path


def bound(stage: Stage, query: Query, rows: Any) -> list[float]:
    """For each call, the share of its data's tokens that no order of rows and fields can have shared more of, 0..1."""
    rows.createOrReplaceTempView(query.table)
    calls = sparkllm.explain(query.text, stage.spark, rows=rows.count()).calls
    return [call.sampled.most_shared for call in calls if call.sampled is not None]


if __name__ == "__main__":
    sys.exit(main())
