"""map(): a call as a further column of a DataFrame, in the DataFrame API alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite import rewrite
from sparkllm.optimizer.rewrite.collect import collect_groups
from sparkllm.optimizer.rewrite.groups import is_grouped
from sparkllm.optimizer.spark_dialect import SparkSQL, dialect_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkllm.plain_session import PlainSession

__all__ = ["map"]

_TABLE = "__llm_df"
_RANGE = "repartition_by_range"


def map(df: DataFrame, *, name: str, call: str) -> DataFrame:  # noqa: A001 # users read sparkllm.map
    """`sparkllm.map(df, name="label", call="llm_classify(review, array('good', 'bad'))")`, with or without a jar.

    The same plan as `SELECT *, <call> AS <name>` gets from `sparkllm.sql`, made of DataFrame operations: no view, no
    statement. A column of that name is replaced.

    Args:
        df: any DataFrame, Spark Connect's too.
        name: the new column.
        call: an expression with calls, as in SQL.

    Raises:
        CallError: a call that cannot be rewritten, or no expression.
        ConfigError: an unknown setting, or a budget, which cannot be kept there.
    """
    from sparkllm.plain_session import PlainSession, ready

    session = df.sparkSession
    platform = _OverRows(PlainSession(session), df)
    ready(session)
    column = _expression(call, platform.session)
    others: list[exp.Expr] = [_quoted(c) for c in df.columns if c.lower() != name.lower()]
    select = exp.Select(expressions=[*others, exp.alias_(column, name, quoted=True)]).from_(exp.to_table(_TABLE))
    _check(select)
    text = rewrite(_text(select), platform)
    platform.session.planned()
    return _run(sqlglot.parse_one(text, read=SparkSQL), df)


class _OverRows:
    """The session, asked about the rows of a DataFrame."""

    def __init__(self, session: PlainSession, df: DataFrame) -> None:
        self.session, self.config, self._df = session, session.config, df

    def describe(self, query: str) -> list[tuple[str, str]]:
        frame = _run(sqlglot.parse_one(query, read=SparkSQL), self._df)
        return [(f.name, f.dataType.simpleString().lower()) for f in frame.schema.fields]

    def has_function(self, name: str) -> bool:
        return self.session.has_function(name)

    def request(self, call: str) -> str:
        return self.session.request(call)


def _expression(call: str, session: PlainSession) -> exp.Expr:
    try:
        dialect = dialect_for(call, session.describe)
        return sqlglot.parse_one(f"SELECT {call}", read=dialect).expressions[0].unalias()
    except sqlglot.errors.SqlglotError as error:
        raise CallError(
            f"map() takes an expression such as \"llm('classify', review)\", got {call!r}: {error}"
        ) from error


def _check(select: exp.Select) -> None:
    collect_groups(select)
    if is_grouped(select):
        raise CallError("map() adds a column to every row and takes no aggregates; group with sparkllm.sql(spark, ...)")


def _quoted(name: str) -> exp.Expr:
    return exp.column(exp.to_identifier(name, quoted=True))


def _run(select: exp.Expr, df: DataFrame) -> DataFrame:
    """SELECTs over each other, the innermost over `df`, as DataFrame operations; the rewriting makes no others here."""
    source = select.args["from_"].this
    frame = df.alias(_TABLE) if isinstance(source, exp.Table) else _run(source.this, df).alias(source.alias)
    if select.args.get("where"):
        frame = frame.filter(_text(select.args["where"].this))
    frame = frame.selectExpr(*(_text(column) for column in select.expressions))
    hint = select.args.get("hint")
    return frame if hint is None else _together(frame, hint.expressions[0])


def _text(e: exp.Expr) -> str:
    return e.sql(SparkSQL, normalize_functions=False)


def _together(frame: DataFrame, hint: exp.Expr) -> DataFrame:
    given: list[Any] = [int(a.this) if isinstance(a, exp.Literal) else _text(a) for a in hint.expressions]
    return frame.repartitionByRange(*given) if hint.name.lower() == _RANGE else frame.repartition(*given)
