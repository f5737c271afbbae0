"""Queries that the Catalyst rules are tested with, over Spark Connect: the same rows, and most often as few calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.errors import CallError
from sparkllm.plain_sql import plain_text
from tests.connect.counted import Counted
from tests.optimizer.cases import cases
from tests.optimizer.queries import in_order

QUERY = "SELECT llm('classify', review) FROM t"
# claim -> what is otherwise there: rows asked, the words of a refusal, or why rows differ
DIFFERENCES = json.loads(Path(__file__).with_name("differences.json").read_text(encoding="utf-8"))
# statements of which the rewriting once made something else
STATEMENTS = [
    pytest.param(case, id=case["claim"])
    for case in json.loads(Path(__file__).with_name("statements.json").read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("case", cases("catalyst_calls.json"))
def test_rows_and_calls_are_those_of_the_classic_path(
    plain: SparkSession, counted: Counted, case: dict[str, Any]
) -> None:
    other = DIFFERENCES.get(case["claim"], {})
    counted.clear()
    if "refused" in other:
        with pytest.raises(CallError, match=other["refused"]):
            sparkllm.sql(plain, case["sql"])
        return
    rows = [list(row) for row in sparkllm.sql(plain, case["sql"]).collect()]
    if "moved" not in other:
        got, expected = (rows, case["answer"]) if case.get("ordered") else (in_order(rows), in_order(case["answer"]))
        assert got == expected, f"before: {case['sql']}\ngot: {got}\nexpected: {expected}"
    asked, classic = len(counted.asked()), sum(case["rows"])
    assert asked <= other.get("asked", classic), f"before: {case['sql']}\nasked: {asked}, classic {classic}"


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_rewritten_statement_means_what_it_meant(plain: SparkSession, counted: Counted, case: dict[str, Any]) -> None:
    counted.clear()
    rows = [list(row) for row in sparkllm.sql(plain, case["sql"]).collect()]
    got, expected = (rows, case["answer"]) if case.get("ordered") else (in_order(rows), in_order(case["answer"]))
    assert got == expected, f"before: {case['sql']}\ngot: {got}\nexpected: {expected}"
    if "asked" in case:
        assert len(counted.asked()) == case["asked"]


def test_a_function_that_is_there_already_is_left_as_it_is(plain: SparkSession) -> None:
    plain.sql("CREATE TEMPORARY FUNCTION ai_fix_grammar(x STRING) RETURNS STRING RETURN concat(x, '!')")
    try:
        query = "SELECT ai_fix_grammar(review) AS a, ai_translate(review, 'fr') AS b FROM t WHERE id = 0"
        assert [tuple(row) for row in sparkllm.sql(plain, query).collect()] == [("good!", "GOOD")]
    finally:
        plain.sql("DROP TEMPORARY FUNCTION ai_fix_grammar")


@pytest.mark.parametrize("case", cases("catalyst_fields.json"))
def test_what_a_call_holds_is_the_same(plain: SparkSession, counted: Counted, case: dict[str, Any]) -> None:
    counted.clear()
    sparkllm.sql(plain, f"SELECT {case['sql']} FROM s WHERE id = 2").collect()
    [(call, fields), *_] = counted.asked()
    assert call["fields"] == case["fields"]
    assert (call["labels"], call["model"]) == (case.get("labels", []), case.get("model"))
    if "values" in case:
        assert fields == case["values"]


def test_names_of_fields_are_the_querys_where_tables_are_joined_and_grouped(
    plain: SparkSession, counted: Counted
) -> None:
    counted.clear()
    sparkllm.sql(
        plain, "SELECT llm('Same?', t.title, k.utitle), llm('Is {title} good?', t.title) FROM t JOIN k ON id = uid"
    ).collect()
    sparkllm.sql(plain, "SELECT llm('Is it good?', title, max(review)) FROM t GROUP BY title").collect()
    assert {(call["prompt"], tuple(call["fields"])) for call, _ in counted.asked()} == {
        ("Same?", ("title", "utitle")),
        ("Is {title} good?", ("title",)),
        ("Is it good?", ("title", "col2")),
    }


def test_a_rule_switched_off_gives_the_same_rows(plain: SparkSession) -> None:
    query = """SELECT id, c FROM (SELECT id, llm('classify', review) AS c FROM t)
               WHERE c = llm('classify', 'ok') AND id > 3 ORDER BY id LIMIT 2"""
    expected = sparkllm.sql(plain, query).collect()
    for rule in ("reuse", "pushFilters", "orderCascade", "pushLimits", "coLocate"):
        plain.conf.set(f"spark.sparkllm.optimizer.{rule}", "false")
        try:
            assert sparkllm.sql(plain, query).collect() == expected, rule
        finally:
            plain.conf.unset(f"spark.sparkllm.optimizer.{rule}")


def test_map_is_the_same_column_in_the_dataframe_api(plain: SparkSession, counted: Counted) -> None:
    counted.clear()
    found = sparkllm.map(plain.table("t"), name="label", call="llm_classify(review, array('GOOD', 'BAD'))")
    assert found.columns == ["id", "review", "title", "label"]
    expected = sparkllm.sql(plain, "SELECT *, llm_classify(review, array('GOOD', 'BAD')) AS label FROM t")
    assert sorted(found.collect()) == sorted(expected.collect())
    assert len(counted.asked()) == 24


def test_map_replaces_a_column_and_takes_typed_answers(plain: SparkSession) -> None:
    call = "llm_extract(struct(title, review), 'name STRING, n INT').n"
    found = sparkllm.map(plain.table("t"), name="review", call=call)
    assert found.columns == ["id", "title", "review"]
    assert {row.review for row in found.collect()} == {1}


def test_a_statement_without_calls_is_left_as_it_is(plain: SparkSession) -> None:
    assert sparkllm.sql(plain, "SELECT /* llm */ count(*) AS n FROM t").collect()[0].n == 12


def test_calls_are_written_into_a_table(plain: SparkSession) -> None:
    sparkllm.sql(plain, "CREATE TABLE answers USING parquet AS SELECT id, llm('classify', review) AS c FROM t")
    try:
        sparkllm.sql(plain, "INSERT INTO answers SELECT uid, llm('classify', utitle) FROM u")
        assert plain.table("answers").count() == 15
    finally:
        plain.sql("DROP TABLE answers")


def test_null_fields_ask_nothing_and_give_null(plain: SparkSession, counted: Counted) -> None:
    counted.clear()
    query = "SELECT llm('classify', IF(id > 5, review, NULL)) AS c FROM t WHERE id IN (1, 9)"
    assert {row.c for row in sparkllm.sql(plain, query).collect()} == {None, "BAD"}
    assert len(counted.asked()) == 1


def test_a_prompt_with_a_null_in_it_asks_nothing(plain: SparkSession, counted: Counted) -> None:
    counted.clear()
    query = "SELECT llm_gen('About ' || IF(id > 5, review, NULL) || title) AS c FROM t WHERE id IN (1, 9)"
    assert {row.c for row in sparkllm.sql(plain, query).collect()} == {None, "BAD"}
    assert len(counted.asked()) == 1


def test_equal_prompts_meet_in_one_task(plain: SparkSession) -> None:
    text = plain.sql(f"EXPLAIN {plain_text(plain, QUERY)}").collect()[0].plan
    assert "rangepartitioning(review" in text
    alone = QUERY.replace("review)", "review, order => 'off')")
    assert "partitioning" not in plain.sql(f"EXPLAIN {plain_text(plain, alone)}").collect()[0].plan
