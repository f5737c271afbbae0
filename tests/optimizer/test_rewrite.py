"""Statements with calls as plain Spark SQL: before/after pairs, without Spark, and where no call can stand."""

from __future__ import annotations

from typing import Any

import pytest
import sqlglot

from sparkllm.config import LLMConfig
from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite import rewrite
from sparkllm.optimizer.spark_dialect import SparkSQL
from tests.optimizer.cases import cases, read_cases

COLUMNS = {
    "t": {"id": "int", "review": "string", "title": "string", "tags": "array<string>"},
    "u": {"uid": "int", "utitle": "string"},
    "z": {"id": "int", "c": "string"},
}


class Tables:
    """What a session would know of these tables; requests are left out."""

    def __init__(self, **settings: Any) -> None:
        self.config = LLMConfig(**settings)

    def describe(self, query: str) -> list[tuple[str, str]]:
        tree = sqlglot.parse_one(query, read=SparkSQL)
        known = [pair for table in tree.find_all(sqlglot.exp.Table) for pair in COLUMNS.get(table.name, {}).items()]
        if any(e.is_star for e in tree.expressions):
            return known
        return [(e.alias_or_name, dict(known).get(e.unalias().name, "string")) for e in tree.expressions]

    def has_function(self, name: str) -> bool:
        return False

    def request(self, call: str) -> str:
        return "?"


@pytest.mark.parametrize("case", cases("rewrite.json"))
def test_a_statement_is_rewritten(case: dict[str, Any]) -> None:
    got = rewrite(case["before"], Tables())
    assert got == case["after"], f"before: {case['before']}\ngot: {got}\nexpected: {case['after']}"


SHOWN = (
    [(case["sql"], case["shows"]) for case in read_cases("catalyst_tasks.json") if "shows" in case]
    + [
        (sql, sql)
        for sql in (
            "llm_classify(llm_translate(review, 'French'))",
            "llm_filter('Is it {title}?', upper(review))",
            "llm_agg('What is it?', review)",
            "llm_summarize_agg(review, 20)",
            "llm_classify(max(review), array('a', 'b'))",
            "llm_score('How long is {title}?', order => 'off')",
            "sum(CASE WHEN llm_filter('Is it good?', review) THEN 1 END)",
        )
    ]
    + [
        ("llm_classify('good')", "llm_classify(good)"),
        ("Max(llm_classify(Review))", "max(llm_classify(Review))"),
        ("llm('Is it good?', t.*)", "llm('Is it good?', id, review, title, tags)"),
    ]
)


@pytest.mark.parametrize(("sql", "shows"), SHOWN)
def test_a_column_without_a_name_is_called_as_by_the_extension(sql: str, shows: str) -> None:
    [column] = sqlglot.parse_one(rewrite(f"SELECT {sql} FROM t", Tables()), read=SparkSQL).expressions
    assert column.alias == shows


@pytest.mark.parametrize("case", cases("rewrite_errors.json"))
def test_a_place_where_no_call_can_stand_is_named(case: dict[str, Any]) -> None:
    with pytest.raises(CallError) as error:
        rewrite(case["sql"], Tables())
    for piece in case["says"]:
        assert piece in str(error.value), f"before: {case['sql']}\ngot: {error.value}\nexpected: {piece}"


def test_rows_are_moved_to_as_many_tasks_as_the_setting_says() -> None:
    query = "SELECT llm('classify', review) FROM t"
    assert "REPARTITION_BY_RANGE(8, review)" in rewrite(query, Tables(tasks=8))
    assert "REPARTITION" not in rewrite(query, Tables(optimizer_co_locate=False))


def test_without_reuse_equal_calls_are_two() -> None:
    query = "SELECT llm('classify', review) AS a, llm('classify', review) AS b FROM t"
    assert rewrite(query, Tables()).count("__llm_ask(") == 1
    assert rewrite(query, Tables(optimizer_reuse=False)).count("__llm_ask(") == 2


def test_a_function_of_the_users_own_is_no_call() -> None:
    query = "SELECT llm_unknown(review) FROM t"
    assert rewrite(query, Tables()) == query


class OldTables(Tables):
    """A session before Spark 4.1, to which a doubled quote is nothing between two texts."""

    def describe(self, query: str) -> list[tuple[str, str]]:
        return [("ab", "string")] if query == "SELECT 'a''b'" else super().describe(query)


def test_texts_side_by_side_are_one_where_the_session_has_them_so() -> None:
    query = "SELECT llm('It''s good?', review) AS c FROM t WHERE title = 'it''s'"
    assert "title = CONCAT('it', 's')" in rewrite(query, OldTables())
    assert "title = 'it\\'s'" in rewrite(query, Tables())


class OtherPlatform(Tables):
    """A session that has one of Databricks' functions itself."""

    def has_function(self, name: str) -> bool:
        return name == "ai_translate"


def test_functions_that_the_platform_has_are_left_to_it() -> None:
    query = "SELECT ai_translate(review, 'fr') AS a, ai_classify(review, array('x', 'y')) AS b FROM t"
    assert "SELECT ai_translate(review, 'fr') AS a, __llm_a0.value AS b" in rewrite(query, OtherPlatform())
    assert rewrite(query, Tables()).count("__llm_ask(") == 2
    alone = "SELECT ai_translate(review, 'fr') /* theirs */ FROM t"
    assert rewrite(alone, OtherPlatform()) == alone
