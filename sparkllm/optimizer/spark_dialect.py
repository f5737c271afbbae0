"""Spark SQL as Spark 4.1 and later have it, which is more than sqlglot's own dialect knows."""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp, transforms
from sqlglot.dialects.spark import Spark
from sqlglot.generators.spark import SparkGenerator

__all__ = ["SparkSQL"]


class SparkSQL(Spark):
    """Spark's dialect with doubled quotes, a WITH inside a query, and QUALIFY.

    >>> from sqlglot import parse_one
    >>> parse_one("SELECT 'it''s' FROM t QUALIFY rank() OVER (ORDER BY a) = 1", read=SparkSQL).sql(SparkSQL)
    "SELECT 'it\\\\'s' FROM t QUALIFY RANK() OVER (ORDER BY a) = 1"
    """

    class Tokenizer(Spark.Tokenizer):
        """A doubled quote is one in the text: `'it''s'`."""

        STRING_ESCAPES: ClassVar[list[str]] = ["\\", "'", '"']

    class Generator(SparkGenerator):
        """Hive moves each WITH to the top, where its names can hide tables, and turns QUALIFY into a query around."""

        EXPRESSIONS_WITHOUT_NESTED_CTES: ClassVar[set[type[exp.Expr]]] = set()
        TRANSFORMS: ClassVar = {
            **SparkGenerator.TRANSFORMS,
            exp.Select: transforms.preprocess(
                [transforms.eliminate_distinct_on, transforms.unnest_to_explode, transforms.any_to_exists]
            ),
        }
