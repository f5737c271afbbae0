"""`sparkllm sql`: a query on local Spark; its rows on standard output, its report on standard error."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

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
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["add_sql"]

_WIDE = 100_000  # characters; a pipe has no width
_EPILOG = """\
Rows go to standard output or a file and nothing else does; the report, and a bar on a terminal, to standard error.
Ends with 0, or with 2 where something is wrong. Columns of a CSV file are texts.

  sparkllm sql "SELECT product, llm('classify', review) AS label FROM r" --table r=reviews.csv
  sparkllm sql query.sql --table r=reviews.parquet --model Qwen/Qwen2.5-7B-Instruct --format csv --output labels.csv
  echo "SELECT llm('Is it spam?', text) FROM t" | sparkllm sql - --table t=tweets.csv --format json | jq .
  sparkllm sql query.sql --table r=reviews.csv --conf engine=dry-run --conf maxCalls=1000
"""


def add_sql(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "sql",
        help="run a query with llm(...) on this machine",
        description="Runs one query on local Spark and prints its rows.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_query(parser)
    add = parser.add_argument
    add("--format", choices=["table", "csv", "json"], default="table", help="of the rows; json: an object on each line")
    add("--output", type=Path, metavar="FILE", help="write the rows there")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Everything that can be wrong without Spark is found before it starts."""
    text, tables, conf = query_text(args.query), tables_of(args), settings_of(args)
    if args.output and not args.output.parent.is_dir():
        raise ConfigError(f"--output: expected a file in a folder that is there, found {args.output}")
    with rows_alone_on_stdout(), session_for("sql", args.model, conf) as spark:
        opened(spark, tables)
        names, rows, report = _answered(spark, text, args.format)
    if args.output:
        with args.output.open("w", encoding="utf-8", newline="") as out:
            _print(names, rows, args.format, out)
    else:
        _print(names, rows, args.format, sys.stdout)
    if report:
        print(report, file=sys.stderr)
    return 0


def _answered(spark: SparkSession, text: str, form: str) -> tuple[list[str], list[Sequence[str | None]], str]:
    """Names, rows as texts, and the report; empty where the query has asked no model."""
    from sparkllm.report import last_report
    from sparkllm.spark_session import last_reports

    before = last_reports(spark)
    frame = spark.sql(text)
    shown = _objects(frame) if form == "json" else _texts(frame)
    rows: list[Sequence[str | None]] = [tuple(row) for row in shown.collect()] if frame.columns else []
    report = str(last_report(spark)) if last_reports(spark) != before else ""
    return frame.columns, rows, report


def _texts(frame: DataFrame) -> DataFrame:
    """Each column as Spark writes it as a text: structs, arrays and maps as JSON, bytes as base64."""
    numbered = _numbered(frame)
    return numbered.select([_text(numbered, i) for i in range(len(frame.columns))])


def _objects(frame: DataFrame) -> DataFrame:
    """Each row as one JSON object, nulls included."""
    from pyspark.sql import functions as F

    numbered = _numbered(frame)
    fields = [numbered[f"c{i}"].alias(name) for i, name in enumerate(frame.columns)]
    return numbered.select(F.to_json(F.struct(*fields), {"ignoreNullFields": "false"})) if fields else frame


def _numbered(frame: DataFrame) -> DataFrame:
    """A result may have two columns of one name."""
    return frame.toDF(*(f"c{i}" for i in range(len(frame.columns))))


def _text(frame: DataFrame, i: int) -> Column:
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, BinaryType, MapType, StructType

    kind, column = frame.schema.fields[i].dataType, frame[f"c{i}"]
    if isinstance(kind, (ArrayType, MapType, StructType)):
        return F.to_json(column, {"ignoreNullFields": "false"})
    return F.base64(column) if isinstance(kind, BinaryType) else column.cast("string")


def _print(names: list[str], rows: list[Sequence[str | None]], form: str, out: TextIO) -> None:
    if form == "json":
        out.writelines(f"{row[0]}\n" for row in rows)
    elif form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)  # NULL is an empty field
    elif names:
        _print_table(names, rows, out)


def _print_table(names: list[str], rows: list[Sequence[str | None]], out: TextIO) -> None:
    """As wide as the terminal; as wide as it takes elsewhere."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text("NULL", style="dim") if value is None else Text(_one_line(value)) for value in row))
    Console(file=out, width=None if out.isatty() else _WIDE).print(table)


def _one_line(value: str) -> str:
    return "".join(character if character.isprintable() else " " for character in value)
