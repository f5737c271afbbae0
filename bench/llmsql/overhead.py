"""What sparkllm takes beside the engine: LLM-SQL's queries on a dry-run engine that answers at a fixed rate.

    python -m bench.llmsql.overhead --data FOLDER --json bench/results/llmsql_overhead.json

An engine that takes no time tells how many requests a second come through at most, and how many prompt tokens they
compute; then one that takes so long for those tokens that it answers --rate requests a second, as a fast GPU does with
a small model. `beside` is what such a query takes longer than requests by rate, in %, and parts are where the seconds
of each kind go (where_time_goes.py). With `--without tokenizeCells` or other rules, each is off in turn beside the
query as it is: `speed-up` is what it gains, at the rate and where the engine takes no time.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.llmsql.show import PARTS, spread
from bench.llmsql.suite import found, queries, read
from bench.llmsql.timed_session import TimedSession
from bench.machine import machine

QUERIES = ("filter_beer", "filter_tweets", "multi_tweets")


def main() -> None:
    """Run, write and print."""
    args = arguments()
    rows = f" --rows {args.rows}" if args.rows else ""
    command = f"python -m bench.llmsql.overhead --data FOLDER --rate {args.rate:g}{rows} --repeats {args.repeats}"
    command += f" --queries {' '.join(args.queries)}" if args.queries != list(QUERIES) else ""
    command += f" --without {' '.join(args.without)}" if args.without else ""
    record: dict[str, Any] = {"command": command, **machine(), "rate": args.rate, "queries": {}}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), args.data, args.rows)
        for name in args.queries:
            record["queries"][name] = stage.figures(name, args.rate, args.repeats, args.without)
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
    parser.add_argument("--rows", type=int, default=0, help="of each table, by copies of it; 0 is the table as it is")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without", nargs="+", default=[], help="rules, as in spark.sparkllm.optimizer.*")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


class Stage:
    """A session on a dry-run engine, with the suite's tables as Parquet files in `folder`.

    Args:
        folder: an empty one.
        data: folder of the tables.
        rows: of each table, by copies of it where it has fewer; 0 leaves the tables as they are.
    """

    def __init__(self, folder: Path, data: Path, rows: int) -> None:
        self._timed = TimedSession(model="demo", engine="dry-run")
        there, _ = found(data)
        for name, source in there.items():
            path = folder / f"{name}.parquet"
            pq.write_table(copies(read(source), rows), path, compression="none", use_dictionary=False)
            self._timed.spark.read.parquet(str(path)).createOrReplaceTempView(name)

    def close(self) -> None:
        """End engine and session."""
        self._timed.close()

    def figures(self, name: str, rate: float, repeats: int, without: Sequence[str] = ()) -> dict[str, Any]:
        """Of one query: an engine that takes no time, then one of that rate, each also without one of the rules."""
        [text] = [query.text for query in queries() if query.name == name]
        few, conf = f"{text.rstrip().rstrip(';')} LIMIT 1", self._timed.spark.conf
        conf.set("spark.sparkllm.dryRunTokensPerSecond", "0")
        self._timed.seconds(text)  # workers and engine are there, and warm
        found = self._turns("free", text, repeats, without)
        each = (found["free"][0]["prompt_tokens"] - found["free"][0]["cached_tokens"]) / found["free"][0]["requests"]
        conf.set("spark.sparkllm.dryRunTokensPerSecond", str(rate * each))
        self._timed.seconds(few)
        return found | self._turns("at rate", text, repeats, without)

    def _turns(self, kind: str, text: str, repeats: int, without: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Runs with every rule and with each of some off, in an order that is new in each turn."""
        rules = {kind: "", **{f"{kind}, no {rule}": rule for rule in without}}
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in rules}
        for name in chain(*(random.Random(turn).sample([*rules], len(rules)) for turn in range(repeats))):
            found[name].append(self._measured(text, rules[name]))
        return found

    def _measured(self, text: str, off: str) -> dict[str, Any]:
        if not off:
            return self._timed.measure(text)
        rule, conf = f"spark.sparkllm.optimizer.{off}", self._timed.spark.conf
        conf.set(rule, "false")
        try:
            return self._timed.measure(text)
        finally:
            conf.unset(rule)


def copies(table: pa.Table, rows: int) -> pa.Table:
    """A table of so many rows; each copy has a number before its longest texts, so that no two rows are equal."""
    if not rows:
        return table
    sizes = [table[name].nbytes for name in table.column_names]
    longest = table.column_names[sizes.index(max(sizes))]
    place = table.column_names.index(longest)

    def copy(number: int) -> pa.Table:
        told = pc.binary_join_element_wise(str(number), table[longest], " ")
        return table.set_column(place, longest, told) if number else table

    return pa.concat_tables(copy(i) for i in range(-(-rows // table.num_rows))).slice(0, rows)


def show(record: dict[str, Any]) -> str:
    """The figures as Markdown."""
    head = ("query", "requests", "engine", "seconds", "requests/s", "beside, %", "speed-up", *PARTS)
    rows: list[tuple[str, ...]] = [head, ("---", "---:", "---", *["---:"] * (len(head) - 3))]
    for name, kinds in record["queries"].items():
        for kind, runs in kinds.items():
            seconds, requests = [run["seconds"] for run in runs], runs[0]["requests"]
            beside = [100 * (s * record["rate"] / requests - 1) for s in seconds]
            whole = sum(seconds)
            parts = (f"{100 * sum(run['where'].get(part, 0.0) for run in runs) / whole:.1f}" for part in PARTS)
            as_is = [run["seconds"] for run in kinds[kind.split(",")[0]]]
            gained = "" if kind in ("free", "at rate") else spread([a / b for a, b in zip(seconds, as_is, strict=True)])
            longer = "" if kind.startswith("free") else spread(beside)
            figures = spread(seconds), f"{requests / median(seconds):,.0f}", longer, gained
            rows.append((name, f"{requests:,}", kind, *figures, *parts))
    return "\n".join(["Parts in % of the seconds.", "", *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    main()
