"""The DataFrame face of `llm(...)`: a Column that gives the same plan as the SQL function."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark import SparkContext
from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkllm.errors import CallError

__all__ = ["llm"]


def llm(prompt: str, *fields: Column | str, labels: Sequence[str] | None = None, model: str | None = None) -> Column:
    """Ask the model about each row: `df.withColumn("label", llm("classify", "review"))`.

    Args:
        prompt: a task (`"classify"`) or an instruction in plain words; `{review}` in it stands for that field.
        fields: columns the model sees, by name, as Columns, or `"*"` for all of them.
        labels: the only answers allowed, for example `["yes", "no"]`; `classify` alone means
            negative / neutral / positive.
        model: path or Hugging Face id; the session's model when left out.

    Returns:
        A STRING column: the answer, or NULL for a row without one (the report counts why).

    Raises:
        CallError: `prompt`, a field, a label or `model` is of the wrong type.
        pyspark.errors.AnalysisException: an unknown task or column, raised where Spark analyses the plan.
    """
    for name, value in (("prompt", prompt), ("model", model)):
        if not isinstance(value, str) and not (name == "model" and value is None):
            raise CallError(f"llm(): {name} takes a string, got {type(value).__name__}: {value!r}")
    columns = [F.lit(prompt), *map(_field, fields)]
    if labels is not None:
        columns.append(_named("labels", F.array(*map(F.lit, _texts(labels)))))
    if model is not None:
        columns.append(_named("model", F.lit(model)))
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
