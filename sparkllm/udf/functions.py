"""The DataFrame face of `llm(...)`: a Column that gives the same plan as the SQL function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark import SparkContext
from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkllm.errors import CallError

__all__ = ["call", "column_of", "llm"]


def llm(
    prompt: str,
    *fields: Column | str,
    labels: Sequence[str] | None = None,
    model: str | None = None,
    schema: str | None = None,
    order: str | None = None,
    selectivity: float | None = None,
    max_tokens: int | None = None,
    on_error: str | None = None,
    **arguments: Any,
) -> Column:
    """Ask the model about each row: `df.withColumn("label", llm("classify", "review"))`.

    Args:
        prompt: a task (`"classify"`) or an instruction in plain words; `{review}` in it stands for that field.
        fields: columns the model sees, by name, as Columns, or `"*"` for all of them.
        labels: the only answers allowed, for example `["yes", "no"]`; `classify` alone means
            negative / neutral / positive.
        model: path or Hugging Face id; the session's model when left out.
        schema: columns of a typed answer, as in CREATE TABLE: `"name STRING NOT NULL, age INT COMMENT 'in years'"`.
            Without NOT NULL the model may say null; a comment is shown to it. Texts and lists may grow as far as
            `spark.sparkllm.maxTokens` allows.
        order: `"fixed"` or `"fields"`, one field order for all rows; `"rows+fields"`, one for each row; `"auto"`, that
            where it shares 3 % more of the data; `"rows"`, fields as they are given; `"off"`, rows as they come, too;
            the session's `spark.sparkllm.order` when left out.
        selectivity: your guess at the share of rows that a condition over the answer keeps, above 0 and at most 1.
        max_tokens: most output tokens of an answer that is no label; the session's when left out.
        on_error: what a row without an answer gets: `"null"`; `"fail"`, the job fails; `"struct"`, the answers are
            STRUCTs of `value` and `error`; as `spark.sparkllm.failOnError` says when left out.
        arguments: of a task, by name: `llm("translate", "review", lang="French")`.

    Returns:
        A column with the answer, or NULL for a row without one (the report counts why): a STRING, with `schema` a
        STRUCT.

    Raises:
        CallError: `prompt`, a field, a label or an option is of the wrong type.
        pyspark.errors.AnalysisException: an unknown task or column, raised where Spark analyses the plan.
    """
    texts = {"prompt": prompt, "model": model, "schema": schema, "order": order, "on_error": on_error}
    for name, value in texts.items():
        if not isinstance(value, str) and (name == "prompt" or value is not None):
            raise CallError(f"llm(): {name} takes a string, got {type(value).__name__}: {value!r}")
    for name, number, kinds in (("selectivity", selectivity, (int, float)), ("max_tokens", max_tokens, (int,))):
        if number is not None and (isinstance(number, bool) or not isinstance(number, kinds)):
            raise CallError(f"llm(): {name} takes a number, got {type(number).__name__}: {number!r}")
    options = {"model": model, "schema": schema, "order": order, "selectivity": selectivity, "max_tokens": max_tokens}
    given = {"labels": None if labels is None else _texts(labels), **arguments, **options, "on_error": on_error}
    return call("llm", [F.lit(prompt), *(column_of("llm", field) for field in fields)], given)


def call(function: str, columns: Sequence[Column], named: Mapping[str, Any]) -> Column:
    """`function(columns, name => constant, ...)`; a constant that is None is left out."""
    try:
        return F.call_function(
            function, *columns, *(_named(k, _constant(v)) for k, v in named.items() if v is not None)
        )
    except AssertionError:
        raise CallError(f"{function}() needs a Spark session: call sparkllm.session() first") from None


def column_of(function: str, field: Column | str) -> Column:
    """A field of `function`: a column by its name, or itself."""
    if isinstance(field, (Column, str)):
        return F.col(field) if isinstance(field, str) else field
    raise CallError(f"{function}(): a field is a column name or a Column, got {type(field).__name__}: {field!r}")


def _constant(value: Any) -> Column:
    return F.array(*map(F.lit, value)) if isinstance(value, (list, tuple)) else F.lit(value)


def _texts(labels: Sequence[str]) -> list[str]:
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise CallError(f"llm(): labels takes a list of strings such as ['yes', 'no'], got {labels!r}")
    return list(labels)


def _named(name: str, value: Column) -> Column:
    """`name => value`, for which PySpark has no public constructor outside UDF calls."""
    context = SparkContext._active_spark_context
    if context is None or context._jvm is None:
        raise CallError("llm() needs a Spark session: call sparkllm.session() first")
    return Column(context._jvm.PythonSQLUtils.namedArgumentExpression(name, value._jc))  # type: ignore[attr-defined]
