"""`sparkllm place`: which GPUs for a query, as a table, as JSON, for Kubernetes or for Databricks."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkllm.backend.placement.duration import seconds
from sparkllm.command_query import (
    add_query,
    opened,
    query_text,
    rows_alone_on_stdout,
    session_for,
    settings_of,
    tables_of,
)
from sparkllm.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkllm.backend.placement import Infeasible, Plan

__all__ = ["add_place"]

_EPILOG = """\
Reads a sample of the query's rows and counts them; no model is asked and nothing is downloaded. Ends with 0 where there
is a placement, with 1 where there is none within the limits, with 2 where something is wrong.

  sparkllm place query.sql --model Qwen/Qwen2.5-7B-Instruct --deadline 2h --table reviews=data/reviews.parquet
"""


def add_place(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "place",
        help="which GPUs to run a query on, how many, what it costs and how long it takes",
        description="The cheapest GPUs that meet a deadline, or the fastest within a budget.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_query(parser)
    add = parser.add_argument
    add("--deadline", type=_time, metavar="TIME", help="such as 2h, 90m, 1h30m or seconds, start of machines included")
    add("--budget", type=float, metavar="DOLLARS", help="most that it may cost")
    add("--objective", choices=["cost", "time"], default="cost", help="cheapest (default), or fastest")
    add("--available", type=_counts, metavar="L4=8,H100=2", help="GPUs there are; any number of any type if left out")
    add("--cluster", type=_counts, metavar="L4=3,2xH100=1", help="replicas that run: where do the rows go?")
    add("--billing", choices=["released", "held"], default="released", help="pay until done (default) or the deadline")
    add("--catalog", type=Path, metavar="FILE", help="TOML with your own GPU types, prices and measured speeds")
    add("--start", type=_time, metavar="TIME", help="from asking for a machine to its first answer (3m)")
    add("--rows", type=int, default=10_000, help="most rows of the sample (10000)")
    add("--output-tokens", type=float, help="mean tokens of a text answer; half of maxTokens if left out")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--details", action="store_true", help="who does what, and each price's source, too")
    shown.add_argument("--json", action="store_true", help="print JSON")
    shown.add_argument("--kubernetes", action="store_true", help="print pod templates and policies as YAML")
    shown.add_argument("--databricks", action="store_true", help="print one job for each GPU type as JSON")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Everything that can be wrong without Spark is found before it starts."""
    from sparkllm.backend.placement import load
    from sparkllm.backend.placement.terms import Terms
    from sparkllm.placing import model_shape

    text, tables, conf = query_text(args.query), tables_of(args), settings_of(args)
    bounded = args.available is not None or args.cluster is not None
    Terms(args.objective, args.deadline, args.budget, args.billing, bounded)
    catalog = load(args.catalog)
    catalog.named(args.available or ())
    if args.model:
        model_shape(args.model)
    with rows_alone_on_stdout():
        with session_for("place", args.model, conf) as spark:
            opened(spark, tables)
            found = _placed(args, text, spark, catalog)
        shown = _shown(found, args)
    print(shown)
    return 0 if found.feasible else 1


def _placed(args: argparse.Namespace, text: str, spark: SparkSession, catalog: Any) -> Plan | Infeasible:
    from sparkllm.placing import place, serving_of

    serving = serving_of(text, spark)
    names = ("deadline", "budget", "objective", "available", "cluster", "billing", "rows", "output_tokens")
    return place(
        text,
        spark,
        catalog=catalog,
        serving=serving if args.start is None else replace(serving, start_seconds=args.start),
        **{name: getattr(args, name) for name in names},
    )


def _shown(found: Plan | Infeasible, args: argparse.Namespace) -> str:
    from sparkllm.backend.placement import Infeasible
    from sparkllm.backend.placement.databricks import databricks_jobs
    from sparkllm.backend.placement.kubernetes import kubernetes
    from sparkllm.backend.placement.record import record
    from sparkllm.backend.placement.summary import summary

    if args.json or (args.databricks and isinstance(found, Infeasible)):
        return json.dumps(record(found), indent=1)
    if isinstance(found, Infeasible):
        return found.explain()
    if args.databricks:
        return json.dumps(databricks_jobs(found), indent=1)
    if args.kubernetes:
        return kubernetes(found).rstrip()
    return found.explain().rstrip() if args.details else summary(found).rstrip()


def _time(text: str) -> float:
    try:
        return seconds(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _counts(text: str) -> dict[str, int]:
    """`L4=8,H100=2`."""
    try:
        return {name: int(count) for name, count in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected counts such as L4=8,H100=2, found {text!r}") from None
