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
import shutil
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
from sparkllm.backend.cores import usable_cores

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
    record |= {
        "rows": args.rows,
        "max_tokens": args.max_tokens,
        "missing": missing,
        "contenders": {name: CONTENDERS[name].means for name in args.contenders},
    }
    record |= {"bounds": {}, "runs": [], "failed": []}
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
                    rows = short_enough(stage, stage.spark.read.parquet(str(path)))
                    count = rows.count()
                    if not turn:
                        record["bounds"][f"{query.name}, {order}"] = bound(stage, query, rows)
                    names = order_of_turns.sample(args.contenders, len(args.contenders))
                    for name in names:
                        about = {"query": query.name, "order": order, "turn": turn, "contender": name}
                        about["table_rows"] = count
                        try:
                            yield about | stage.run(name, query, rows)
                        except Exception as error:  # the other runs are worth having
                            record["failed"].append(about | {"error": str(error)[:500]})
                            print(f"{query.name}, {order}, {turn}, {name} failed: {error}", file=sys.stderr)


def slice_of(table: pa.Table, order: str, turn: int, args: argparse.Namespace, folder: Path) -> Path:
    """The rows of a turn, as a folder with files for two tasks on each core; slices begin anew where the table ends."""
    if order == "shuffled":
        table = table.take(pa.array(np.random.default_rng(args.seed).permutation(table.num_rows)))
    if args.rows and args.rows < table.num_rows:
        begin = turn * args.rows % (table.num_rows - args.rows + 1)
        table = table.slice(begin, args.rows)
    path = folder / f"{order}-{turn}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    files = 2 * usable_cores()
    each = -(-table.num_rows // files)
    for i in range(files):
        part = table.slice(i * each, each)
        # as large as their texts: of tables below 256 KB nothing is brought together
        pa.parquet.write_table(part, path / f"{i}.parquet", compression="none", use_dictionary=False)
    return path


def short_enough(stage: Stage, rows: Any) -> Any:
    """Without rows that may be too long for the model, at two bytes a token: they would end the UDF's job."""
    size = " + ".join(f"coalesce(octet_length(`{name}`), 0) + {len(name) + 8}" for name in rows.columns)
    return rows.where(f"{size} < {2 * (stage.max_model_len - 256)}")


def bound(stage: Stage, query: Query, rows: Any) -> list[float]:
    """For each call, the share of its data's tokens that no order of rows and fields can have shared more of, 0..1."""
    rows.createOrReplaceTempView(query.table)
    calls = sparkllm.explain(query.text, stage.spark, rows=rows.count()).calls
    return [call.sampled.most_shared for call in calls if call.sampled is not None]


if __name__ == "__main__":
    sys.exit(main())
