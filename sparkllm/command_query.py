"""What the commands share that read a query: its text, its tables, and a quiet session to run it in."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkllm.errors import ConfigError

if TYPE_CHECKING:
    from argparse import Namespace

    from pyspark.sql import SparkSession

__all__ = ["add_query", "opened", "query_text", "rows_alone_on_stdout", "session_for", "settings_of", "tables_of"]

_FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".orc": "orc", ".parquet": "parquet"}


def add_query(parser: Any) -> None:
    """The options of a command that takes a query."""
    add = parser.add_argument
    add("query", help="one SQL query, or a file that holds it; - for standard input")
    add("--model", help="path or Hugging Face id; what Spark is configured with when left out")
    add("--table", action="append", default=[], metavar="NAME=PATH", help="a file or folder as a view; may be repeated")
    add("--conf", action="append", default=[], metavar="KEY=VALUE", help="a setting of Spark or sparkllm; repeatable")


def query_text(given: str) -> str:
    """The query: from standard input, from a file of that name, or the text itself.

    Raises:
        OSError: there is no such file. A query of one word is taken for the name of one.
        ConfigError: it is empty.
    """
    if given == "-":
        text = sys.stdin.read()
    elif len(given.split()) < 2 or (len(given) < 256 and Path(given).is_file()):
        text = Path(given).read_text(encoding="utf-8")
    else:
        text = given
    text = text.strip().removesuffix(";").rstrip()
    if not text:
        raise ConfigError("expected a query such as \"SELECT llm('classify', review) FROM reviews\", found nothing")
    return text


def settings_of(args: Namespace) -> dict[str, str]:
    """What `--conf` gives, as Spark's keys."""
    pairs = dict(_pair(one, "KEY=VALUE") for one in args.conf)
    return {key if key.startswith("spark.") else f"spark.sparkllm.{key}": value for key, value in pairs.items()}


def tables_of(args: Namespace) -> dict[str, str]:
    """What `--table` gives: a path for each name.

    Raises:
        ConfigError: no pair, or nothing there, as far as can be said without Spark.
    """
    tables = dict(_pair(one, "NAME=PATH") for one in args.table)
    for name, path in tables.items():
        if not Path(path).exists() and _on_this_machine(path):
            raise ConfigError(f"--table {name}: expected a file or folder, found none at {path}")
    return tables


@contextmanager
def rows_alone_on_stdout() -> Iterator[None]:
    """What libraries write to the process's standard output meanwhile, as HiGHS does, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def session_for(name: str, model: str | None, conf: Mapping[str, str]) -> Iterator[SparkSession]:
    """A quiet session; it and its engines end with the block unless it ran before.

    What its JVM logs goes to a file, which stays where something fails, and the error tells where.
    """
    from pyspark import SparkContext

    from sparkllm.spark_session import session, stop

    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # pyspark's, repeats errors with a stack
    if SparkContext._active_spark_context is not None:
        yield session(model, app_name=f"sparkllm {name}", **conf)
        return
    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    handle, log = tempfile.mkstemp(prefix=f"sparkllm-{name}-", suffix=".log")
    try:
        with _errors_of_children_to(handle):
            spark = session(model, app_name=f"sparkllm {name}", **{**quiet, **conf})
        try:
            yield spark
        finally:
            stop(spark)
            spark.stop()
    except Exception as error:
        if os.path.getsize(log):
            error.add_note(f"Spark's log: {log}")
        raise
    finally:
        os.close(handle)
        if not isinstance(sys.exception(), Exception) or not os.path.getsize(log):
            os.unlink(log)


@contextmanager
def _errors_of_children_to(handle: int) -> Iterator[None]:
    """A JVM that starts meanwhile keeps it as its standard error; Python's own stays where it was."""
    kept = os.dup(2)
    try:
        own = sys.stderr
        moved = own is not None and own is sys.__stderr__
        with open(kept, "w", buffering=1, closefd=False, encoding="utf-8") as terminal, contextlib.ExitStack() as stack:
            if moved:
                stack.enter_context(contextlib.redirect_stderr(terminal))
            os.dup2(handle, 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


def opened(spark: SparkSession, tables: Mapping[str, str]) -> None:
    """Make each a view; what is in a CSV file are texts, under the names in its first line."""
    for name, path in tables.items():
        known = next(
            (kind for suffix, kind in _FORMATS.items() if path.removesuffix(".gz").endswith(suffix)), "parquet"
        )
        options: dict[str, Any] = {"header": True, "multiLine": True, "escape": '"'} if known == "csv" else {}
        spark.read.format(known).options(**options).load(path).createOrReplaceTempView(name)


def _on_this_machine(path: str) -> bool:
    """Neither a URI, nor a pattern, nor a place of Hadoop's."""
    return "://" not in path and not set("*?[{") & set(path) and "HADOOP_CONF_DIR" not in os.environ


def _pair(text: str, form: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise ConfigError(f"expected {form}, found {text!r}")
    return name, value
