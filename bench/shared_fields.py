"""Two calls on the same fields: what it saves to put the data before the instruction, end to end through Spark SQL.

    python bench/shared_fields.py --data FOLDER --model demo --json bench/results/shared_fields_demo.json

`SELECT llm(p1, ...), llm(p2, ...)` with `spark.sparkllm.optimizer.dataFirst` on and off, all other rules on in both. On
and off alternate; before each run the prefix cache is emptied and a batch of other data is thrown away. Repeat r takes
the r-th slice of --rows rows of the shuffled table.

    tweets        airline_tweets.csv, all columns
    tweets by 5   five tweets a row, text only; 585 rows a slice
    tweet texts   one tweet a row, text only: short, and the rule should leave it alone
    beer          beer.csv, all columns: numbers, half of them shared by sorted rows; the rule should leave it alone

tokens: prompt tokens computed off / on, those from the cache not counted; model: the same by data first's cost model
(sparkllm/optimizer/layout.py) from the mean lengths of the run, whatever was chosen; alike: rows whose two answers are
the same in both layouts. Medians of the pairs, with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from machine import machine
from main_job import OTHER, settings, write
from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

import sparkllm
from sparkllm.backend.client import EngineClient, connect
from sparkllm.optimizer.layout import Workload, computed_tokens
from sparkllm.report import QueryReport
from sparkllm.udf.prompt import static_text
from sparkllm.udf.tokens import ChatTokenizer

RULE = "spark.sparkllm.optimizer.dataFirst"
TWEETS = ("Is this tweet a complaint?", "Does the writer ask for an answer?")
BEER = ("Based on the beer, is it of European origin?", "Would the reviewer buy this beer again?")
# name -> file, columns (none: all), rows of the file in one row, prompts
JOBS: dict[str, tuple[str, list[str], int, tuple[str, str]]] = {
    "tweets": ("airline_tweets.csv", [], 1, TWEETS),
    "tweets by 5": ("airline_tweets.csv", ["text"], 5, TWEETS),
    "tweet texts": ("airline_tweets.csv", ["text"], 1, TWEETS),
    "beer": ("beer.csv", [], 1, BEER),
}
# Labels where the model has learnt any; one token of free text for a model with random weights, which would spell a
# label letter by letter.
LABELS = ", labels => array('yes', 'no')"
COUNTS = ("requests", "prompt_tokens", "cached_tokens", "static_tokens", "cached_data_tokens", "predicted_tokens",
          "predicted_data_tokens", "output_tokens")  # fmt: skip


def main() -> None:
    """Run every table; write the JSON; print the table."""
    args = arguments()
    conf = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    spark = sparkllm.session(model=args.model, master="local[2]", max_tokens=1, ledger="off", **conf)
    engine = connect(settings(spark), None, spark.sparkContext.applicationId)
    result: dict[str, Any] = {"command": command(args), **machine(), "model": Path(args.model).name, "seed": args.seed}
    result |= {"cache_tokens": engine.info.cache_tokens, "block_size": engine.info.block_size, "pairs": []}
    for name in args.jobs:
        table = rows_of(Path(args.data), name, args.seed)
        size = min(args.rows, len(table) // args.repeats)
        for repeat in range(args.repeats):
            rows = table.iloc[repeat * size : (repeat + 1) * size]
            modes = ("off", "on") if repeat % 2 == 0 else ("on", "off")
            result["pairs"].append(pair(spark, engine, name, rows, modes))
            write(result, args.json)  # after every pair: a run that is broken off has lost nothing
            print(shown(result["pairs"][-1:]), flush=True)
    print(shown(result["pairs"]))
    sparkllm.stop()
    spark.stop()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA", "."), help="folder of the tables")
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--model", default="demo", help="demo, or the folder of a model with random weights")
    parser.add_argument("--rows", type=int, default=2500, help="most rows of a slice")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the shuffle")
    parser.add_argument("--json", help="write every run to this file")
    return parser.parse_args()


def command(args: argparse.Namespace) -> str:
    """How to make the figures again; folders of this machine are left out."""
    jobs = " ".join(f"'{job}'" for job in args.jobs)
    return (
        f"python bench/shared_fields.py --data FOLDER --jobs {jobs} "
        f"--model {Path(args.model).name} --rows {args.rows} --repeats {args.repeats} --seed {args.seed}"
    )


def rows_of(folder: Path, job: str, seed: int) -> pd.DataFrame:
    """The shuffled table of a job."""
    file, columns, together, _ = JOBS[job]
    table = pd.read_csv(folder / file, dtype=str).sample(frac=1, random_state=seed)
    table = table[columns or list(table.columns)].reset_index(drop=True)
    return table if together == 1 else table.groupby(table.index // together).agg("\n".join)


def pair(
    spark: SparkSession, engine: EngineClient, name: str, rows: pd.DataFrame, modes: tuple[str, str]
) -> dict[str, Any]:
    """The same rows with the rule on and off, one after the other."""
    options = LABELS if settings(spark).model == "demo" else ""
    fields = ", ".join(f"`{column}`" for column in rows.columns)
    calls = ", ".join(f"llm('{prompt}', {fields}{options})" for prompt in JOBS[name][3])
    runs = {mode: run(spark, engine, rows, calls, mode) for mode in modes}
    answers = [runs[mode].pop("answers") for mode in ("off", "on")]
    alike = sum(one == other for one, other in zip(*answers, strict=True)) / len(rows)
    return {"job": name, "rows": len(rows), "alike": alike, **runs}


def run(spark: SparkSession, engine: EngineClient, rows: pd.DataFrame, calls: str, mode: str) -> dict[str, Any]:
    """One measured run: seconds of the query, its answers, and what its report counted."""
    spark.conf.set(RULE, str(mode == "on").lower())
    engine.reset_prefix_cache()
    ask(spark, pd.DataFrame(OTHER, columns=["other", "text"]), "llm('Is it a text?', other, text)")
    seconds, answers = ask(spark, rows.assign(llm_row=range(len(rows))), f"llm_row, {calls}")
    report = sparkllm.last_report(spark)
    counted = {name: [getattr(call, name) for call in report.calls] for name in COUNTS}
    return {"seconds": seconds, "answers": sorted(answers), **counted, "model": by_the_model(engine, report, mode)}


def ask(spark: SparkSession, rows: pd.DataFrame, columns: str) -> tuple[float, list[Any]]:
    """Seconds of `SELECT columns FROM rows`, and its rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/rows.parquet"
        # plainly encoded, every slice is large enough for sparkllm to place its rows, as those of a real table are
        rows.to_parquet(path, index=False, compression=None, use_dictionary=False)
        spark.read.parquet(path).createOrReplaceTempView("t")
        started = time.perf_counter()
        answers = spark.sql(f"SELECT {columns} FROM t").collect()
        return time.perf_counter() - started, [tuple(row) for row in answers]


def by_the_model(engine: EngineClient, report: QueryReport, mode: str) -> dict[str, float] | None:
    """Tokens computed in either layout by the cost model, from the mean lengths that a run with the rule off shows."""
    if mode == "on":
        return None
    info, (first, _) = engine.info, report.calls
    tokenizer = ChatTokenizer.shared(info.tokenizer_json, info.chat_prefix, info.chat_suffix)
    tail = len(tokenizer.closing(""))
    data = (first.prompt_tokens - first.static_tokens) / first.requests - tail
    frame = len(tokenizer.opening(""))
    work = Workload(
        instructions=tuple(len(tokenizer.opening(static_text(c.call))) - frame for c in report.calls),
        shares=(1.0,) * len(report.calls),
        rows=first.requests,
        data=data,
        shared=first.predicted_data_tokens / (data * first.requests),
        block=info.block_size,
        tail=tail,
    )
    return {"instruction_first": computed_tokens(work, False), "data_first": computed_tokens(work, True)}


def shown(pairs: list[dict[str, Any]]) -> str:
    """The results as text."""
    table = Table("job", "rows", "pairs", "layout", "off s", "on s", "speed-up", "tokens", "model", "alike")
    for name in dict.fromkeys(p["job"] for p in pairs):
        some = [p for p in pairs if p["job"] == name]
        moved = sum(sum(p["on"]["static_tokens"]) < sum(p["off"]["static_tokens"]) for p in some)
        layout = {0: "instruction first", len(some): "data first"}.get(moved, f"data first in {moved}")
        table.add_row(name, f"{some[0]['rows']:,}", str(len(some)), layout, *figures(some))
    text = io.StringIO()
    Console(file=text, width=160).print(table)
    return text.getvalue()


def figures(pairs: list[dict[str, Any]]) -> list[str]:
    """Median and spread of every figure."""

    def spread(figure: Callable[[dict[str, Any]], float], form: str = "{:.2f}") -> str:
        values = sorted(figure(pair) for pair in pairs)
        low, middle, high = (form.format(v) for v in (values[0], statistics.median(values), values[-1]))
        return f"{middle} ({low}-{high})" if len(values) > 1 else middle

    return [
        spread(lambda p: p["off"]["seconds"], "{:.1f}"),
        spread(lambda p: p["on"]["seconds"], "{:.1f}"),
        spread(lambda p: p["off"]["seconds"] / p["on"]["seconds"]),
        spread(lambda p: computed(p["off"]) / computed(p["on"])),
        spread(lambda p: p["off"]["model"]["instruction_first"] / p["off"]["model"]["data_first"]),
        spread(lambda p: p["alike"], "{:.0%}"),
    ]


def computed(run: dict[str, Any]) -> int:
    """Prompt tokens that the engine computed in a run."""
    return sum(run["prompt_tokens"]) - sum(run["cached_tokens"])


if __name__ == "__main__":
    main()
