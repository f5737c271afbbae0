"""The order of several calls, and calls above joins: how many rows each call sees, with a rule and without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.optimizer.cases import cases
from tests.optimizer.queries import in_order, plan, run
from tests.settings import configured

LEARN = "spark.sparkllm.optimizer.learnSelectivity"
Asked = list[list[Any]]


def asked(spark: SparkSession, sql: str) -> tuple[list[list[Any]], Asked, int]:
    """The rows of a query, what it asked as [prompt, rows], lowest call first, and its requests."""
    rows, calls = run(spark, sql)
    prompts = [[call["call"]["task"] or call["call"]["prompt"], call["rows"]] for call in calls]
    return in_order(rows), prompts, sum(call["requests"] for call in calls)


@pytest.mark.parametrize("case", cases("catalyst_cascade.json"))
def test_rows_that_each_call_sees(plans: SparkSession, case: dict[str, Any]) -> None:
    sql = case["sql"]
    with configured(plans, {f"spark.sparkllm.optimizer.{case['rule']}": "false"}):
        off, off_plan = asked(plans, sql), plan(plans.sql(sql))
    on, on_plan = asked(plans, sql), plan(plans.sql(sql))
    expected = in_order(case["answer"])
    shown = f"before: {sql}\n{off_plan}\ngot: {on}\n{on_plan}\nexpected: {expected} {case['on']}; off: {off}"
    assert on[0] == expected, shown
    assert off[0] == expected, shown
    assert on[1] == case["on"], shown
    assert sorted(off[1]) == sorted(case["off"]), shown  # two sides of a join begin in any order
    assert on[2] <= off[2], shown


def pair(first: str, second: str) -> str:
    """Two predicates of equal rank: the first keeps all rows, the second half of them."""
    return f"llm('{first}', review) <> 'NONE' AND llm('{second}', title) = 'A'"


@pytest.mark.parametrize(
    ("claim", "query"),
    [
        ("a filter at the top", "SELECT id FROM {table} WHERE {condition}"),
        ("below an exchange", "SELECT title, count(*) FROM {table} WHERE {condition} GROUP BY title"),
        ("in a subquery", "SELECT 1 WHERE 5 < (SELECT count(id) FROM {table} WHERE {condition})"),
    ],
)
@pytest.mark.parametrize("codegen", ["true", "false"])
def test_what_a_filter_kept_orders_the_next_query(plans: SparkSession, claim: str, query: str, codegen: str) -> None:
    first, second = f"First, {claim}, {codegen}?", f"Second, {claim}, {codegen}?"
    condition = pair(first, second)
    with configured(plans, {LEARN: "true", "spark.sql.codegen.wholeStage": codegen}):
        before = asked(plans, query.format(table="t", condition=condition))
        after = asked(plans, query.format(table="t AS other", condition=condition))
        with configured(plans, {LEARN: "false"}):
            unlearned = asked(plans, query.format(table="t", condition=condition))
    assert before[1] == [[first, 12], [second, 12]]
    assert after[1] == [[second, 12], [first, 6]]
    assert unlearned[1] == before[1]
    assert before[0] == after[0] == unlearned[0]


def test_a_query_that_a_limit_ended_tells_nothing(plans: SparkSession) -> None:
    sql = f"SELECT id FROM t WHERE {pair('Limited first?', 'Limited second?')}"
    with configured(plans, {LEARN: "true"}):
        for stop in ("true", "false"):
            with configured(plans, {"spark.sparkllm.optimizer.stopAtLimit": stop}):
                asked(plans, f"{sql} LIMIT 4")
        assert [prompt for prompt, _ in asked(plans, sql)[1]] == ["Limited first?", "Limited second?"]


def test_a_failed_query_tells_nothing(plans: SparkSession) -> None:
    condition = pair("Failed first?", "Failed second?")
    with configured(plans, {LEARN: "true"}):
        with pytest.raises(Exception, match="stop here"):
            asked(plans, f"SELECT if(id = 10, raise_error('stop here'), id) FROM t WHERE {condition}")
        after = asked(plans, f"SELECT id FROM t WHERE {condition}")
    assert [prompt for prompt, _ in after[1]] == ["Failed first?", "Failed second?"]


def test_another_call_or_condition_is_not_the_one_that_was_measured(plans: SparkSession) -> None:
    with configured(plans, {LEARN: "true"}):
        asked(plans, f"SELECT id FROM t WHERE {pair('Mine?', 'Yours?')}")
        for first, second in (("Mine?", "Whose?"), ("Whose?", "Yours, too?")):
            other = asked(plans, f"SELECT id FROM t WHERE {pair(first, second)}".replace("'NONE'", "'NO'"))
            assert [prompt for prompt, _ in other[1]] == [first, second]


def test_a_dataframe_that_is_collected_again_is_counted_once_each_time(plans: SparkSession) -> None:
    """Its filter goes on counting: 24 rows kept of 12 would be a share of one."""
    sql = "SELECT id FROM t WHERE llm('Again?', title) = 'A'"
    with configured(plans, {LEARN: "true"}):
        frame = plans.sql(sql)
        for _ in range(3):
            assert len(frame.collect()) == 6
        condition = "llm('Never before?', review) <> 'NONE' AND llm('Again?', title) = 'A'"
        hinted = condition.replace("review)", "review, selectivity => 0.6)")
        after = asked(plans, f"SELECT id FROM t WHERE {hinted}")
    assert after[1] == [["Again?", 12], ["Never before?", 6]]


def test_a_hint_counts_more_than_what_was_measured(plans: SparkSession) -> None:
    condition = pair("Hinted first?", "Hinted second?")
    with configured(plans, {LEARN: "true"}):
        asked(plans, f"SELECT id FROM t WHERE {condition}")
        hinted = condition.replace("review)", "review, selectivity => 0.1)")
        assert asked(plans, f"SELECT id FROM t WHERE {hinted}")[1] == [["Hinted first?", 12], ["Hinted second?", 12]]


@pytest.fixture
def analysed(plans: SparkSession, tmp_path: Path) -> Iterator[SparkSession]:
    """A table of 40 rows with statistics: `long` is ten times as long as `short`; and two tables of keys."""
    plans.sql(f"""CREATE TABLE texts USING parquet LOCATION '{tmp_path}/texts' AS
                  SELECT int(id) AS id, repeat(string(id % 2), 400) AS long, repeat(string(id % 2), 40) AS short
                  FROM range(0, 40, 1, 1)""")
    for name, rows in (("half", 20), ("all", 40)):
        create = f"CREATE TABLE keys_{name} USING parquet LOCATION '{tmp_path}/{name}'"
        plans.sql(f"{create} AS SELECT int(id) AS uid FROM range({rows})")
    for table in ("texts", "keys_half", "keys_all"):
        plans.sql(f"ANALYZE TABLE {table} COMPUTE STATISTICS FOR ALL COLUMNS")
    with configured(plans, {"spark.sql.cbo.enabled": "true"}):
        yield plans
    for table in ("texts", "keys_half", "keys_all"):
        plans.sql(f"DROP TABLE {table}")


def test_column_statistics_tell_long_texts_from_short_ones(analysed: SparkSession) -> None:
    of_long, of_short = (f"llm('{text}?', {text}, labels => array('x', 'y'))" for text in ("long", "short"))
    sql = f"SELECT id FROM texts WHERE {of_long} <> 'x' AND {of_short} <> 'x'"
    assert [prompt for prompt, _ in asked(analysed, sql)[1]] == ["short?", "long?"]
    with configured(analysed, {"spark.sql.cbo.enabled": "false"}):
        assert [prompt for prompt, _ in asked(analysed, sql)[1]] == ["long?", "short?"]


@pytest.mark.parametrize(("keys", "above"), [("half", True), ("all", False)])
def test_nothing_moves_above_a_join_that_is_known_to_drop_no_row(
    analysed: SparkSession, keys: str, above: bool
) -> None:
    sql = f"""SELECT id, a FROM (SELECT id, llm('What is it?', short) AS a FROM texts)
              JOIN (SELECT DISTINCT uid FROM keys_{keys}) ON id = uid"""
    lines = plan(analysed.sql(sql)).splitlines()
    call, join = (next(i for i, line in enumerate(lines) if node in line) for node in ("LLMEval", "Join Inner"))
    assert (call < join) == above, plan(analysed.sql(sql))
    assert asked(analysed, sql)[1] == [["What is it?", 20 if above else 40]]
