"""`sparkllm place`: which GPUs for a query, as a table, as JSON, for Kubernetes or for Databricks."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkllm.backend.placement.duration import seconds
from sparkllm.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkllm.backend.placement import Infeasible, Plan

__all__ = ["add_place"]

_FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".orc": "orc", ".parquet": "parquet"}
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
    parser.add_argument("query", type=Path, help="file with one SQL query; - for standard input")
    add = parser.add_argument
    add("--model", help="path or Hugging Face id; what Spark is configured with when left out")
    add("--table", action="append", default=[], metavar="NAME=PATH", help="a file or folder as a view; may be repeated")
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
    add("--conf", action="append", default=[], metavar="KEY=VALUE", help="a setting of Spark or sparkllm; repeatable")
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

    text = sys.stdin.read() if str(args.query) == "-" else args.query.read_text(encoding="utf-8")
    bounded = args.available is not None or args.cluster is not None
    Terms(args.objective, args.deadline, args.budget, args.billing, bounded)
    catalog = load(args.catalog)
    catalog.named(args.available or ())
    if args.model:
        model_shape(args.model)
    conf = dict(_pair(one, "KEY=VALUE") for one in args.conf)
    tables = [_pair(one, "NAME=PATH") for one in args.table]
    with _output_for_the_placement_alone():
        with _session(args.model, conf) as spark:
            for name, path in tables:
                _table(spark, path).createOrReplaceTempView(name)
            found = _placed(args, text.strip().removesuffix(";"), spark, catalog)
        shown = _shown(found, args)
    print(shown)
    return 0 if found.feasible else 1


@contextmanager
def _output_for_the_placement_alone() -> Iterator[None]:
    """What libraries write to the process's standard output, as HiGHS now and then does, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


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


@contextmanager
def _session(model: str | None, conf: dict[str, str]) -> Iterator[SparkSession]:
    """A quiet one, as what is printed is the placement; it ends with the block unless it ran before."""
    from pyspark import SparkContext

    from sparkllm.spark_session import session

    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # pyspark's, repeats errors with a stack
    ran = SparkContext._active_spark_context is not None
    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    options = {k if k.startswith("spark.") else f"spark.sparkllm.{k}": v for k, v in conf.items()}
    spark = session(model, app_name="sparkllm place", **options, **({} if ran else quiet))
    try:
        yield spark
    finally:
        if not ran:
            spark.stop()


def _table(spark: SparkSession, path: str) -> Any:
    known = next((kind for suffix, kind in _FORMATS.items() if path.removesuffix(".gz").endswith(suffix)), "parquet")
    options: dict[str, Any] = {"header": True, "multiLine": True, "escape": '"'} if known == "csv" else {}
    return spark.read.format(known).options(**options).load(path)


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


def _pair(text: str, form: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise ConfigError(f"expected {form}, found {text!r}")
    return name, value
