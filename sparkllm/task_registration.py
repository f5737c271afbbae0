"""register_task(): tasks of your own, by name."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import SparkSession

from sparkllm.own_tasks import define
from sparkllm.spark_session import add_task

__all__ = ["register_task"]


def register_task(
    name: str, prompt: str, output: str | Sequence[str] = "STRING", spark: SparkSession | None = None
) -> None:
    """A task of your own: afterwards `llm('mood', review)` and `llm_mood(review)` ask it.

        sparkllm.register_task("mood", "How does the writer of this review feel?", ["happy", "angry", "bored"])
        spark.sql("SELECT llm_mood(review), llm('mood', title, review) FROM reviews")

    It is there in this session and in all that this process registers or makes of it later (`spark.newSession()`), and
    travels with each call, so that executors need not know it. The same task may be registered again; another one under
    its name may not.

    Args:
        name: small letters, digits and _.
        prompt: what the model is to do, as in `llm()`: `{title}` stands for that field.
        output: `STRING`, `BOOLEAN`, the type of a column (`DOUBLE`, `INT NOT NULL`, `ARRAY<STRING>`), columns as in
            CREATE TABLE (`name STRING, age INT`), which give a STRUCT, or a list of labels.
        spark: the session; the active one when left out. Without any, the next one gets it.

    Raises:
        CallError: a name that cannot be or is taken, no prompt, or an output that no answer can have.
    """
    spark = spark or SparkSession.getActiveSession() or SparkSession._instantiatedSession
    if spark is None or not hasattr(spark, "_jsparkSession"):  # Spark Connect has no JVM here: sparkllm.sql knows it
        define(name, prompt, output)
    else:
        session = spark
        define(name, prompt, output, lambda own: add_task(session, own))
