"""The DataFrame face of `llm(...)`: a Column that gives the same plan as the SQL function."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark import SparkContext
from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkllm.errors import CallError

__all__ = ["llm"]


def llm(
    prompt: str,
    *fields: Column | str,
    labels: Sequence[str] | None = None,
    model: str | None = None,
    schema: str | None = None,
    order: str | None = None,
    selectivity: float | None = None,
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
        order: which field order the prompts have: `"fixed"`, one for all rows; `"rows+fields"`, one for each row;
            `"auto"`, that where it shares 3 % more of the data; the session's `spark.sparkllm.order` when left out.
        selectivity: your guess at the share of rows that a condition over the answer keeps, above 0 and at most 1.

    Returns:
        A column with the answer, or NULL for a row without one (the report counts why): a STRING, with `schema` a
        STRUCT.

    Raises:
        CallError: `prompt`, a field, a label or an option is of the wrong type.
        pyspark.errors.AnalysisException: an unknown task or column, raised where Spark analyses the plan.
    """
    for name, value in (("prompt", prompt), ("model", model), ("schema", schema), ("order", order)):
        if not isinstance(value, str) and (name == "prompt" or value is not None):
            raise CallError(f"llm(): {name} takes a string, got {type(value).__name__}: {value!r}")
    if selectivity is not None and (isinstance(selectivity, bool) or not isinstance(selectivity, (int, float))):
        raise CallError(f"llm(): selectivity takes a number, got {type(selectivity).__name__}: {selectivity!r}")
    columns = [F.lit(prompt), *map(_field, fields)]
    if labels is not None:
        columns.append(_named("labels", F.array(*map(F.lit, _texts(labels)))))
    options = {"model": model, "schema": schema, "order": order, "selectivity": selectivity}
    columns += [_named(name, F.lit(value)) for name, value in options.items() if value is not None]
    try:
        return F.call_function("llm", *columns)
    except AssertionError:
        raise CallError("llm() needs a Spark session: call sparkllm.session() first") from None


def _field(field: Column | str) -> Column:
    if isinstance(field, (Column, str)):
        return F.col(field) if isinstance(field, str) else field
    raise CallError(f"llm(): a field is a column name or a Column, got {type(field).__name__}: {field!r}")


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
