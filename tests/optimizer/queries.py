"""What a query returned, what it asked the model, and its plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparkllm.spark_session import last_reports

__all__ = ["counted", "in_order", "jobs_started", "plan", "query_id", "rows_asked", "run"]


def plan(frame: DataFrame) -> str:
    """The optimized plan."""
    return str(frame._jdf.queryExecution().optimizedPlan().toString())  # type: ignore[operator]


def query_id(spark: SparkSession) -> int:
    """The last query that was reported."""
    return max((json.loads(r)["query"] for r in last_reports(spark, 100)), default=-1)


def rows_asked(spark: SparkSession) -> list[int]:
    """Rows that entered each call of the last query."""
    return [call["rows"] for call in json.loads(last_reports(spark, 1)[0])["calls"]]


def run(spark: SparkSession, sql: str) -> tuple[list[list[Any]], list[dict[str, Any]]]:
    """The rows of a query and what each of its LLMEval nodes counted."""
    before = query_id(spark)
    rows = [list(row) for row in spark.sql(sql).collect()]
    reports = [json.loads(r) for r in last_reports(spark, 100)]
    return rows, [call for r in reports if r["query"] > before for call in r["calls"]]


def counted(spark: SparkSession, sql: str) -> list[int]:
    """Rows that entered each call of this query; nothing where none was evaluated."""
    return [call["rows"] for call in run(spark, sql)[1]]


@contextmanager
def jobs_started(spark: SparkSession, group: str) -> Iterator[Callable[[], list[int]]]:
    """Gives a function that lists the jobs that this block has started so far; `group` names the block."""
    spark.sparkContext.setJobGroup(group, "counted by a test")
    try:
        yield lambda: list(spark.sparkContext.statusTracker().getJobIdsForGroup(group))
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]


def in_order(rows: list[list[Any]]) -> list[list[Any]]:
    return sorted(rows, key=lambda row: [(v is None, str(v).rjust(9) if isinstance(v, int) else str(v)) for v in row])
