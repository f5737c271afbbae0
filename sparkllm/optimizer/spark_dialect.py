"""Spark's SQL as this package reads and writes it: sqlglot's dialect, but for what Spark has otherwise by now."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from sqlglot import exp, tokenize, transforms
from sqlglot.dialects.spark import Spark
from sqlglot.generators.spark import SparkGenerator
from sqlglot.parsers.spark import SparkParser

__all__ = ["SparkSQL", "dialect_for"]

# Functions of which sqlglot keeps less than Spark has: further arguments, a format, no separator, parentheses.
_AS_WRITTEN = (
    "CURRENT_CATALOG", "INSTR", "LISTAGG", "LOCALTIMESTAMP", "MAX_BY", "MIN_BY", "PARSE_JSON", "STRING_AGG", "TO_CHAR",
)  # fmt: skip


class SparkSQL(Spark):
    """A dialect for `parse_one(..., read=SparkSQL)` and `e.sql(SparkSQL)`.

    A doubled quote is a quote, since Spark 4.1 (spark.sql.legacy.consecutiveStringLiterals.enabled); before, `'it''s'`
    was two texts, put together, which `read="spark"` still is. It is written `'it\\'s'`, which every Spark reads alike.

    A WITH stays where it stands: on top it would take the names of tables outside its query. So does QUALIFY, of Spark
    4.3, which sqlglot turns into a query around that has other columns.

    >>> from sqlglot import parse_one
    >>> parse_one("SELECT * FROM (WITH t AS (SELECT 'it''s') SELECT * FROM t)", read=SparkSQL).sql(SparkSQL)
    "SELECT * FROM (WITH t AS (SELECT 'it\\\\'s') SELECT * FROM t)"
    >>> parse_one("SELECT * FROM t QUALIFY rank() OVER (ORDER BY a) = 1", read=SparkSQL).sql(SparkSQL)
    'SELECT * FROM t QUALIFY RANK() OVER (ORDER BY a) = 1'
    """

    class Tokenizer(Spark.Tokenizer):
        STRING_ESCAPES: ClassVar[list[str]] = ["\\", "'", '"']  # the first one is what a quote is written with

    class Parser(SparkParser):
        FUNCTIONS: ClassVar = {name: f for name, f in SparkParser.FUNCTIONS.items() if name not in _AS_WRITTEN}
        FUNCTION_PARSERS: ClassVar = {
            name: f for name, f in SparkParser.FUNCTION_PARSERS.items() if name not in _AS_WRITTEN
        }

    class Generator(SparkGenerator):
        EXPRESSIONS_WITHOUT_NESTED_CTES: ClassVar[set[type[exp.Expr]]] = set()
        TRANSFORMS: ClassVar = {
            **{kind: f for kind, f in SparkGenerator.TRANSFORMS.items() if kind is not exp.WithinGroup},
            exp.Select: transforms.preprocess(
                [transforms.eliminate_distinct_on, transforms.unnest_to_explode, transforms.any_to_exists]
            ),
        }


def dialect_for(text: str, describe: Callable[[str], list[tuple[str, str]]]) -> type[Spark]:
    """The one to read a text by; the session is asked where it matters, before Spark 4.1 and after.

    Args:
        text: SQL.
        describe: (name, type) of each column of a query: an unnamed text has itself as its name.
    """
    if _words(text, SparkSQL) == _words(text, Spark):
        return SparkSQL
    return Spark if describe("SELECT 'a''b'")[0][0] == "ab" else SparkSQL


def _words(text: str, dialect: type[Spark]) -> list[str]:
    return [token.text for token in tokenize(text, read=dialect)]
