"""`sparkllm explain`: what a query will ask of the model, before it does."""

from __future__ import annotations

import argparse
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
Plans a sample of the rows; asks no model and starts no engine. Ends with 0, or with 2 where something is wrong.

  sparkllm explain "SELECT llm('classify', review) FROM r" --table r=reviews.csv
  sparkllm explain query.sql --table r=reviews.parquet --model Qwen/Qwen2.5-7B-Instruct --plan
"""


def add_explain(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "explain",
        help="how many calls and tokens a query will take",
        description="Calls, prompt tokens and prefix hits of each llm(...) in a query, from a sample of its rows.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_query(parser)
    parser.add_argument("--rows", type=int, default=10_000, help="most rows of the sample (10000)")
    parser.add_argument("--plan", action="store_true", help="print Spark's plan, too")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    text, tables, conf = query_text(args.query), tables_of(args), settings_of(args)
    with rows_alone_on_stdout(), session_for("explain", args.model, conf) as spark:
        opened(spark, tables)
        shown = _explained(spark, text, args.rows, args.plan)
    print(shown)
    return 0


def _explained(spark: SparkSession, text: str, rows: int, plan: bool) -> str:
    from sparkllm.estimate import explain

    estimate = str(explain(text, spark, rows))
    return f"{estimate}\n\n{spark.sql(f'EXPLAIN {text}').collect()[0][0].rstrip()}" if plan else estimate
