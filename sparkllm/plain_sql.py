"""sql(): a query with calls, on any session; where no jar can be loaded its text is rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkllm.optimizer.rewrite import rewrite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["plain_text", "sql"]


def sql(spark: SparkSession, query: str, *, rewritten: bool | None = None) -> DataFrame:
    """`spark.sql` with `llm(...)` and its like, on Spark Connect, serverless compute and SQL warehouses too.

    Where the session has the Catalyst extension it is `spark.sql` itself. Elsewhere the statement becomes plain Spark
    SQL over a registered function, with each call evaluated once, conditions that need no answer first, calls by cost,
    and rows with equal prompts in one task. The executors need sparkllm, and reach the engine that they start
    themselves.

    Args:
        spark: the session; its `spark.sparkllm.*` settings count.
        query: one statement.
        rewritten: True rewrites it in any case, False never does.

    Returns:
        The DataFrame; nothing has been asked yet.

    Raises:
        CallError: a call stands where it cannot be rewritten; the message names the place.
        ConfigError: an unknown setting, or a budget, which cannot be kept there.
        pyspark.errors.AnalysisException: the statement is wrong.
    """
    from sparkllm.plain_session import has_extension

    if rewritten is False or (rewritten is None and has_extension(spark)):
        return spark.sql(query)
    return spark.sql(plain_text(spark, query))


def plain_text(spark: SparkSession, query: str) -> str:
    """What `sql` runs in its place; the function that it calls is registered.

    Raises:
        CallError, ConfigError: as `sql`.
    """
    from sparkllm.plain_session import PlainSession, ready

    platform = PlainSession(spark)
    ready(spark)
    text = rewrite(query, platform)
    if text is not query:
        platform.planned()
    return text
