"""Three LLM queries in plain Spark SQL, on a small table, with the shipped model: `python -m sparkllm.demo`."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import sparkllm

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["QUERIES", "main", "read_reviews"]

# A query, and the columns of the same rows that are printed beside its answers for the reader.
QUERIES = (
    ("SELECT id, llm('classify', review) FROM reviews", "SELECT review FROM reviews"),
    ("SELECT product, count(*) FROM reviews WHERE llm('classify', review) = 'negative' GROUP BY product", ""),
    (
        "SELECT llm('Is this review of {product} about the price? Answer yes or no.', product, description, review) "
        "FROM reviews LIMIT 20",
        "SELECT product, review FROM reviews LIMIT 20",
    ),
)
SCHEMA = "id INT, product STRING, description STRING, review STRING, stars INT"
SHOWN_ROWS, SHOWN_CHARACTERS = 8, 60


def read_reviews(spark: SparkSession) -> DataFrame:
    """The shipped table: reviews of twelve products, with duplicates, nulls and odd characters like any real one."""
    path = str(resources.files("sparkllm.demo").joinpath("reviews.csv"))
    return spark.read.csv(path, schema=SCHEMA, header=True, multiLine=True, escape='"')


def main() -> None:
    """Run the queries one after the other; print each with a few rows and its report."""
    console = Console(soft_wrap=True)
    quiet = {"spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}  # the tables are what is to be seen
    # Without the ledger: the second query's prompts are the first one's, and it would ask for nothing.
    spark = sparkllm.session(model="demo", master="local[2]", app_name="sparkllm demo", ledger="off", **quiet)
    try:
        read_reviews(spark).createOrReplaceTempView("reviews")
        for query, beside in QUERIES:
            console.rule(style="dim")
            console.print(f"[bold]{escape(query)}[/bold]")
            _show(console, spark.sql(query), spark.sql(beside) if beside else None)
            console.print(str(sparkllm.last_report()), markup=False, highlight=False)
        console.rule(style="dim")
        _next_steps(console)
    finally:
        sparkllm.stop()
        spark.stop()


def _show(console: Console, frame: DataFrame, beside: DataFrame | None) -> None:
    """A few rows, cut to one line each; the query runs once and in full."""
    rows = frame.collect()
    context = beside.collect() if beside is not None else [()] * len(rows)  # the same file in the same order
    table = Table()
    for name in frame.columns:
        table.add_column(_cut(name))
    for name in beside.columns if beside is not None else ():
        table.add_column(_cut(name), style="dim")
    for row, more in list(zip(rows, context, strict=True))[:SHOWN_ROWS]:
        table.add_row(*(_cut(value) for value in (*row, *more)))
    console.print(table)
    if len(rows) > SHOWN_ROWS:
        console.print(f"... {len(rows)} rows\n", style="dim")


def _cut(value: Any) -> str:
    text = "NULL" if value is None else " ".join(str(value).split())
    return escape(text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…")


def _next_steps(console: Console) -> None:
    console.print("Your own query, in Python (a model of your own: its folder or Hugging Face id instead of demo):")
    console.print(
        "  import sparkllm\n"
        '  spark = sparkllm.session(model="demo")\n'
        "  spark.sql(\"SELECT llm('classify', review) FROM VALUES ('I love it'), ('It broke') AS t(review)\").show()",
        markup=False,
        highlight=False,
    )


if __name__ == "__main__":
    main()
