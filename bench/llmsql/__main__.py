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
import itertools
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
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
    record |= {"of_the_paper": [query.name for query in wanted if query.of_the_paper]}
    record |= {"bounds": {}, "runs": [], "failed": []}
    stage = Stage(args.model, args.max_tokens, args.kv_cache_gib)
    record["cache_tokens"] = stage.cache_tokens()
    try:
        for about, result in runs(stage, wanted, {name: read(there[name]) for name in {q.table for q in wanted}}, args):
            keep(record, about, result)
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
    parser.add_argument(
        "--kv-cache-gib",
        type=float,
        default=0.0,
        help="of each engine; rows' order matters where it is smaller than a slice",
    )
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
    some += f" --kv-cache-gib {args.kv_cache_gib:g}" if args.kv_cache_gib else ""
    return (
        f"python -m bench.llmsql --data FOLDER --model {Path(args.model).name}{some} --rows {args.rows} "
        f"--repeats {args.repeats} --max-tokens {args.max_tokens} --seed {args.seed}"
    )


Result = dict[str, Any] | Exception


def keep(record: dict[str, Any], about: dict[str, Any], result: Result) -> None:
    """Put down what came of a run, or why nothing did, and say so."""
    named = f"{about['query']}, {about['order']}, {about['turn']}, {about.get('contender', 'slice')}"
    if isinstance(result, Exception):  # the other runs are worth having
        record["failed"].append(about | {"error": str(result)[:500]})
        print(f"{named} failed: {result}", file=sys.stderr, flush=True)
    elif "contender" in about:
        record["runs"].append(about | result)
        print(f"{named}: {result['seconds']:.1f} s", file=sys.stderr, flush=True)
    else:
        record["bounds"][f"{about['query']}, {about['order']}"] = result["calls"]


def runs(
    stage: Stage, wanted: list[Query], tables: dict[str, pa.Table], args: argparse.Namespace
) -> Iterator[tuple[dict[str, Any], Result]]:
    """(what was run, what came of it), turn by turn; without a contender it is about the first turn's rows."""
    order_of_turns = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        for query, order, turn in itertools.product(wanted, args.orders, range(args.repeats)):
            about = {"query": query.name, "order": order, "turn": turn}
            path = slice_of(tables[query.table], order, turn, args, Path(folder))
            rows = short_enough(stage, stage.spark.read.parquet(str(path)))
            count = rows.count()
            if not count:
                yield about, ValueError("no row of this slice is short enough for the model")
                continue
            if not turn:
                yield about, tried(shared, stage, query, rows, count)
            for name in order_of_turns.sample(args.contenders, len(args.contenders)):
                yield about | {"contender": name, "table_rows": count}, tried(stage.run, name, query, rows)


def tried(work: Callable[..., dict[str, Any]], *given: Any) -> Result:
    """What came of it, or what went wrong."""
    try:
        return work(*given)
    except Exception as error:
        return error


def slice_of(table: pa.Table, order: str, turn: int, args: argparse.Namespace, folder: Path) -> Path:
    """The rows of a turn, as a folder with a file for each core's task; slices begin anew where the table ends."""
    if order == "shuffled":
        table = table.take(pa.array(np.random.default_rng(args.seed).permutation(table.num_rows)))
    if args.rows and args.rows < table.num_rows:
        begin = turn * args.rows % (table.num_rows - args.rows + 1)
        table = table.slice(begin, args.rows)
    path = folder / f"{order}-{turn}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    each = -(-table.num_rows // usable_cores())
    for i in range(usable_cores()):
        part = table.slice(i * each, each)
        # as large as their texts: of tables below 256 KB nothing is brought together
        pa.parquet.write_table(part, path / f"{i}.parquet", compression="none", use_dictionary=False)
    return path


def short_enough(stage: Stage, rows: Any) -> Any:
    """Without rows that may be too long for the model, at two bytes a token: they would end the UDF's job."""
    size = " + ".join(f"coalesce(octet_length(`{name}`), 0) + {len(name) + 8}" for name in rows.columns)
    return rows.where(f"{size} < {2 * (stage.max_model_len - 256)}")


def shared(stage: Stage, query: Query, rows: Any, count: int) -> dict[str, Any]:
    """For each call, the share of its data's tokens in cells that sparkllm's order shares, and the most there is."""
    rows.createOrReplaceTempView(query.table)
    sampled = [call.sampled for call in sparkllm.explain(query.text, stage.spark, rows=count).calls]
    return {"calls": [{"shared": s.shared, "most_shared": s.most_shared} for s in sampled if s is not None]}


if __name__ == "__main__":
    sys.exit(main())
