"""What is left of the prefix hits when a table is cut into many tasks, each with a cache of its own.

    python bench/co_locate.py --data FOLDER --json bench/results/co_locate.json

Spark places the rows of beer.csv, as it is and shuffled by a seed, into 8 and 32 tasks; the prompts of every task are
rendered and tokenised with the demo model's tokenizer, and what a cold prefix cache serves in blocks of 32 tokens is
counted. No engine runs. For each way: requests (distinct prompts of all tasks), hits in % of the data's tokens against
those of one task with all rows, and the tokens of the largest task over the mean.

    co-located   sparkllm's placement
    hash         repartition by all fields: equal prompts meet, and no more
    as it comes  the table's rows, cut where they lie
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from machine import machine
from pyspark.sql import SparkSession
from pyspark.sql.functions import arrow_udf
from rich.console import Console
from rich.table import Table

import sparkllm
from sparkllm.calls import LLMCall
from sparkllm.optimizer.dedup import dedup
from sparkllm.optimizer.encode import Encoded, encode
from sparkllm.optimizer.order_fields import order_fields
from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.udf.prefix_counts import PrefixCounter
from sparkllm.udf.prompt import render, static_text
from sparkllm.udf.tokens import ChatTokenizer, token_array

CALL = LLMCall(None, "Based on the beer, is it of European origin? Answer YES or NO.", ())
BLOCK = 32
WAYS = ("co-located", "hash", "as it comes")


def main() -> None:
    """Place, count, print and write."""
    args = arguments()
    conf = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    spark = sparkllm.register(sparkllm.session(master="local[2]", **conf), _function=stand_in())
    whole = pd.read_csv(Path(args.data) / "beer.csv", dtype=str)
    counter = Counter(whole)
    results = []
    for order, table in (("as is", whole), ("shuffled", whole.sample(frac=1, random_state=args.seed))):
        one = counter.count([table], counter.best_order(table))
        for tasks in args.tasks:
            for way in WAYS:
                parts, fields = place(spark, table, way, tasks)
                counted = counter.count(parts, fields or counter.best_order(table))
                results.append({"order": order, "tasks": tasks, "way": way, "one_task": one["hits"], **counted})
    record = {"command": "python bench/co_locate.py --data FOLDER", **machine(), "seed": args.seed, "results": results}
    if args.json:
        Path(args.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table_of(results))
    spark.stop()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA", "."), help="folder of beer.csv")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffle")
    parser.add_argument("--tasks", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--json", help="write the result to this file")
    return parser.parse_args()


def stand_in() -> Any:
    """An `__llm_eval` that answers each row with its task, the query's field order and its fields, as JSON."""

    @arrow_udf("value string, error string")  # type: ignore[call-overload]
    def tell(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        from pyspark import TaskContext

        task = TaskContext.get().partitionId()  # type: ignore[union-attr]
        for batch in batches:
            orders = batch[2].to_pylist() if len(batch) > 2 else [""] * len(batch[1])
            rows = zip(orders, batch[1].to_pylist(), strict=True)
            values = [json.dumps([task, order, list(row.values())]) for order, row in rows]
            yield pa.StructArray.from_arrays(
                [pa.array(values, pa.string()), pa.nulls(len(values), pa.string())], names=["value", "error"]
            )

    return tell


def place(spark: SparkSession, table: pd.DataFrame, way: str, tasks: int) -> tuple[list[pd.DataFrame], tuple[int, ...]]:
    """The rows of each task in the order it gets them, and the field order where the plan has chosen one."""
    spark.conf.set("spark.sparkllm.tasks", tasks)
    spark.conf.set("spark.sparkllm.optimizer.coLocate", str(way == "co-located").lower())
    with tempfile.TemporaryDirectory() as folder:
        table.to_parquet(f"{folder}/t.parquet", index=False)
        frame = spark.read.parquet(folder)
        if way == "hash":
            frame = frame.repartition(tasks, *frame.columns)
        elif way == "as it comes":
            return [table.iloc[i * len(table) // tasks : (i + 1) * len(table) // tasks] for i in range(tasks)], ()
        rows = [json.loads(r[0]) for r in frame.selectExpr(f"llm('{CALL.prompt}', *)").collect()]
    parts = pd.DataFrame([fields for _, _, fields in rows], columns=table.columns).groupby(
        [task for task, _, _ in rows]
    )
    order = rows[0][1]
    return [part for _, part in parts], tuple(map(int, order.split(","))) if order else ()


class Counter:
    """Renders, tokenises and counts, as a Python worker would."""

    def __init__(self, table: pd.DataFrame) -> None:
        folder = Path(sparkllm.__file__).parent / "demo" / "model"
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        self._tokenizer = ChatTokenizer(text, "<|bos|><|user|>\n", "<|end|>\n<|assistant|>\n")
        self._call = LLMCall(None, CALL.prompt, tuple(table.columns))
        self._static = self._tokenizer.opening(static_text(self._call))

    def best_order(self, table: pd.DataFrame) -> tuple[int, ...]:
        """The field order by exact joint counts of all rows."""
        return order_fields(Cells.of_encoded(self._distinct(table)))

    def count(self, parts: list[pd.DataFrame], fields: tuple[int, ...]) -> dict[str, Any]:
        """Requests, hits of the data's tokens in %, largest task over the mean, in prompt tokens."""
        hits, data, sizes, requests = 0, 0, [], 0
        for part in parts:
            distinct = self._distinct(part)
            prompts = render(self._call, distinct.take(order_rows(distinct.codes, fields)), fields)
            ids = self._tokenizer.encode(prompts)
            counts = PrefixCounter(self._static, BLOCK).add(token_array(ids))
            lengths = [len(i) for i in ids]
            hits += int((counts.predicted - counts.static).clip(0).sum())
            data += sum(lengths) - int(counts.static.sum())
            sizes.append(sum(lengths))
            requests += len(prompts)
        return {"requests": requests, "hits": 100 * hits / data, "largest": max(sizes) * len(sizes) / sum(sizes)}

    def _distinct(self, part: pd.DataFrame) -> Encoded:
        columns = [pa.array(part[name], pa.string(), from_pandas=True) for name in part.columns]
        encoded = encode(columns, len(part))
        return encoded.take(dedup(encoded.codes)[0])


def table_of(results: list[dict[str, Any]]) -> str:
    """The results as text."""
    shown = Table("table", "tasks", "way", "requests", "hits, data", "one task", "largest task / mean")
    for r in results:
        name = f"beer.csv, {r['order']}"
        figures = f"{r['requests']:,}", f"{r['hits']:.1f} %", f"{r['one_task']:.1f} %", f"{r['largest']:.2f}"
        shown.add_row(name, str(r["tasks"]), r["way"], *figures)
    console = Console(width=110)
    with console.capture() as text:
        console.print(shown)
    return text.get()


if __name__ == "__main__":
    main()
