"""The text of a platform -> sqlglot's trees, in which its AI functions stand as they are written.

sqlglot has classes for some of them, which refuse or rearrange arguments that the platform takes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.dialects.databricks import Databricks
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.bigquery import BigQueryParser
from sqlglot.parsers.databricks import DatabricksParser
from sqlglot.parsers.snowflake import SnowflakeParser

from sparkllm.errors import CallError
from sparkllm.optimizer.spark_dialect import SparkSQL

__all__ = ["READ", "TYPE", "parsed"]

TYPE = "type"  # key of a word's meta: the type that it stands for, `TYPE OBJECT(a STRING)`
_PLAIN = ("IF", "AGG", "SCORE", "CLASSIFY", "GENERATE", "GENERATE_BOOL", "GENERATE_INT", "GENERATE_DOUBLE")


def _without(functions: dict[str, Any], *more: str) -> dict[str, Any]:
    return {name: made for name, made in functions.items() if not name.startswith("AI_") and name not in more}


class _Databricks(Databricks):
    class Tokenizer(Databricks.Tokenizer):
        STRING_ESCAPES: ClassVar[list[str]] = SparkSQL.Tokenizer.STRING_ESCAPES

    class Parser(DatabricksParser):
        FUNCTIONS: ClassVar = _without(DatabricksParser.FUNCTIONS, "VECTOR_SEARCH")


class _Snowflake(Snowflake):
    class Parser(SnowflakeParser):
        FUNCTIONS: ClassVar = _without(SnowflakeParser.FUNCTIONS, "FLATTEN")

        def _parse_type(self, parse_interval: bool = True, fallback_to_identifier: bool = False) -> exp.Expr | None:
            """`TYPE OBJECT(a STRING)` is a word of this text."""
            if self._curr.text.upper() != "TYPE" or self._next.token_type not in self.NESTED_TYPE_TOKENS:
                return super()._parse_type(parse_interval, fallback_to_identifier)
            start = self._curr
            self._advance()
            kind = self._parse_types()
            word = exp.var(self._find_sql(start, self._prev))
            word.meta[TYPE] = kind
            return word


class _BigQuery(BigQuery):
    class Parser(BigQueryParser):
        def _parse_function(
            self, functions: Any = None, anonymous: bool = False, *args: Any, **more: Any
        ) -> exp.Expr | None:
            """`AI.IF(...)` is no conditional."""
            before = [token.text.upper() for token in self._tokens[max(self._index - 2, 0) : self._index]]
            plain = before == ["AI", "."] and self._curr.text.upper() in _PLAIN
            return super()._parse_function(functions, anonymous or plain, *args, **more)


READ: dict[str, type[Dialect]] = {"databricks": _Databricks, "snowflake": _Snowflake, "bigquery": _BigQuery}


def parsed(sql: str, read: str) -> list[exp.Expr]:
    """The statements of a text.

    >>> parsed("SELECT AI.IF('it is') ; SELECT 1", "bigquery")[0].sql("bigquery")
    "SELECT AI.IF('it is')"

    Raises:
        CallError: it cannot be read.
    """
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=READ[read]) if tree is not None]
    except (ParseError, TokenError) as error:
        raise CallError(f"sqlglot cannot read this as {read}: {error}") from error
    for raw in [raw for tree in trees for raw in tree.find_all(exp.RawString)]:  # $$it's$$, r'\d'
        raw.replace(exp.Literal.string(raw.this))
    return trees
