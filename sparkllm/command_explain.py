"""`sparkllm explain`: what a query will ask of the model, how long that takes and what it costs, before it does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkllm.command_query import (
    add_query,
    opened,
    query_text,
    rows_alone_on_stdout,
    session_for,
    settings_of,
    tables_of,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["add_explain"]

_EPILOG = """\
Plans a sample of the rows; asks no model and starts no engine, but with --calibrate. Ends with 0, or with 2 where
something is wrong.

  sparkllm explain "SELECT llm('classify', review) FROM r" --table r=reviews.csv
  sparkllm explain query.sql --table r=reviews.parquet --model Qwen/Qwen2.5-7B-Instruct --plan
  sparkllm explain query.sql --table r=reviews.parquet --scan --calibrate
"""


_CALIBRATE = (
    "ask some hundred prompts of each call, at most 6688, and time them; answers go to the ledger; maxCalls holds, "
    "under maxTotalTokens or maxCost it is refused"
)


def add_explain(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "explain",
        help="how many calls, tokens, seconds and dollars a query will take",
        description="Calls, tokens, prefix hits, seconds and dollars of a query, from a sample of its rows.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_query(parser)
    add = parser.add_argument
    add("--rows", type=int, default=10_000, help="most rows of the sample (10000)")
    add("--scan", action="store_true", help="read all rows: calls are counted, the sample is from their order")
    add("--calibrate", action="store_true", help=_CALIBRATE)
    add("--output-tokens", type=float, help="mean tokens of a text answer; as calibrated, or half of maxTokens")
    add("--prices", type=Path, metavar="FILE", help="TOML with dollars per million tokens of endpoint models")
    add("--catalog", type=Path, metavar="FILE", help="TOML with your own GPU types, prices and measured speeds")
    add("--plan", action="store_true", help="print Spark's plan, too")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    text, tables, conf = query_text(args.query), tables_of(args), settings_of(args)
    with rows_alone_on_stdout(), session_for("explain", args.model, conf) as spark:
        opened(spark, tables)
        shown = _explained(spark, text, args)
    print(shown)
    return 0


def _explained(spark: SparkSession, text: str, args: argparse.Namespace) -> str:
    from sparkllm.estimate import explain

    names = ("rows", "scan", "calibrate", "output_tokens", "prices", "catalog")
    estimate = str(explain(text, spark, **{name: getattr(args, name) for name in names}))
    plan = f"\n\n{spark.sql(f'EXPLAIN {text}').collect()[0][0].rstrip()}" if args.plan else ""
    return estimate + plan
