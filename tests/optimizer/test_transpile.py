"""Statements of three platforms: before/after pairs, each after-query run, and what cannot be turned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.errors import CallError, TranspileError
from sparkllm.optimizer.transpile import transpile
from tests.optimizer import capitals
from tests.optimizer.cases import cases, read_cases

SPARK = tuple(map(int, pyspark.__version__.split(".")[:2]))
DIALECTS = ("databricks", "snowflake", "bigquery")
CASES = [
    pytest.param(dialect, case.values[0], id=f"{dialect}: {case.id}")
    for dialect in DIALECTS
    for case in cases(f"transpile_{dialect}.json")
]
RUNS = [
    pytest.param(
        case["after"],
        id=f"{dialect}: {case['claim']}",
        marks=pytest.mark.skipif(tuple(map(int, case.get("spark", "4.0").split("."))) > SPARK, reason="a later Spark"),
    )
    for dialect in DIALECTS
    for case in read_cases(f"transpile_{dialect}.json")
    if not case.get("unsupported")
]


@pytest.mark.parametrize(("dialect", "case"), CASES)
def test_a_statement_is_turned(dialect: str, case: dict[str, Any]) -> None:
    out = transpile(case["before"], read=dialect)
    assert out == out.sql == case["after"], f"before: {case['before']}\ngot: {out}\nexpected: {case['after']}"
    assert [[u.text, u.reason, u.line] for u in out.unsupported] == case.get("unsupported", [])
    assert [note.reason for note in out.notes] == case.get("notes", [])


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> Iterator[SparkSession]:
    session = capitals.small_tables(spark, capitals.stand_in())
    session.sql("CREATE DATABASE IF NOT EXISTS d")
    session.sql("CREATE TEMP VIEW reviews AS SELECT id, review, title AS product FROM t")
    session.sql("CREATE TABLE d.reviews USING parquet AS SELECT * FROM reviews")
    yield session
    session.sql("DROP DATABASE d CASCADE")


@pytest.mark.parametrize("after", RUNS)
def test_what_a_statement_is_turned_into_runs(shop: SparkSession, after: str) -> None:
    rows = shop.sql(after).collect()
    assert rows or " WHERE " in after or "JOIN" in after


def test_a_prompt_is_null_where_one_of_its_columns_is(shop: SparkSession) -> None:
    query = """SELECT ai_gen('Say ' || a || b), ai_query('e', a || b, returnType => 'INT'), ai_gen(concat_ws('', a, b))
               FROM VALUES ('x', 'y'), ('x', NULL), (NULL, 'y') AS v(a, b)"""
    assert [tuple(row) for row in shop.sql(transpile(query, read="databricks")).collect()] == [
        ("X", 1, "XY"),
        (None, None, "X"),
        (None, None, "Y"),
    ]


def test_texts_keep_their_quotes(shop: SparkSession) -> None:
    query = r"""SELECT 'it''s', "a""b", "a''b", 'a' 'b', r'a\n', 'a\'b' """
    found = shop.sql(transpile(query, read="databricks")).first()
    assert found is not None
    assert tuple(found) == ("it's", 'a"b', "a''b", "ab", r"a\n", "a'b")


def test_a_model_that_the_user_names_answers() -> None:
    out = transpile("SELECT AI_COMPLETE('m', 'Hi')", read="snowflake", models={"m": "org/model"})
    assert out == "SELECT llm_gen('Hi', model => 'org/model')"
    assert out.notes == ()


def test_strict_raises_with_all_that_could_not_be_turned() -> None:
    query = "SELECT ai_forecast(a),\n ai_parse_document(b),\n ai_gen(c) FROM t"
    with pytest.raises(TranspileError, match=r"line 1: AI_FORECAST(.|\n)*line 2: AI_PARSE_DOCUMENT"):
        transpile(query, read="databricks", strict=True)


def test_statements_without_ai_functions_are_sqlglots() -> None:
    assert transpile("SELECT TOP 3 a FROM t", read="snowflake") == "SELECT a FROM t LIMIT 3"


def test_several_statements_stay_several() -> None:
    out = transpile("SELECT ai_gen('a'); SELECT ai_gen('b')", read="databricks")
    assert out.splitlines() == ["SELECT llm_gen('a');", "SELECT llm_gen('b')"]


def test_an_unknown_dialect_is_told_of_the_nearest() -> None:
    with pytest.raises(CallError, match="snowflake"):
        transpile("SELECT 1", read="snowflakes")


def test_a_text_that_cannot_be_read_says_where() -> None:
    with pytest.raises(CallError, match="Line 1"):
        transpile("SELECT FROM WHERE (", read="bigquery")


def test_the_public_name_is_this_function() -> None:
    assert sparkllm.transpile is transpile
