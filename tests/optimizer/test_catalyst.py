"""The Catalyst extension: which rows reach the model, what a call holds, and what a wrong call is told.

A stand-in for the engine answers each row with its first field in capitals: these tests are about plans.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkllm import llm
from sparkllm.errors import CallError
from sparkllm.spark_session import last_reports
from tests.optimizer.capitals import COUNTS, stand_in
from tests.optimizer.cases import cases
from tests.optimizer.queries import counted, in_order, plan, query_id, rows_asked, run
from tests.settings import configured

RULES = (
    "reuse", "shareCalls", "pushFilters", "orderCascade", "pullAboveJoin", "reduceByJoin", "pullAboveWindow",
    "pushLimits", "stopAtLimit", "shareBelowSort", "pruneUnused",
)  # fmt: skip


@pytest.mark.parametrize("case", cases("catalyst_calls.json"))
def test_rows_that_reach_the_model(plans: SparkSession, case: dict[str, Any]) -> None:
    rows, calls = run(plans, case["sql"])
    got = rows if case.get("ordered") else in_order(rows)
    expected = case["answer"] if case.get("ordered") else in_order(case["answer"])
    optimized = plan(plans.sql(case["sql"]))
    assert got == expected, f"before: {case['sql']}\ngot: {got}\nexpected: {expected}\n{optimized}"
    asked = [call["rows"] for call in calls]
    assert asked == case["rows"], f"before: {case['sql']}\ngot: {asked}\nexpected: {case['rows']}\n{optimized}"
    assert sum(call["null_fields"] for call in calls) == case.get("nulls", 0)


@contextmanager
def answering(spark: SparkSession, echo: str = "", start_ms: int = 0) -> Iterator[None]:
    """The stand-in answers with something else than capitals, or tells of an engine's start."""
    spark.udf.register("__llm_eval", stand_in(echo, start_ms))
    try:
        yield
    finally:
        spark.udf.register("__llm_eval", stand_in())


@pytest.mark.parametrize("case", cases("catalyst_fields.json"))
def test_what_a_call_holds(plans: SparkSession, case: dict[str, Any]) -> None:
    with answering(plans, "fields"):
        rows, calls = run(plans, f"SELECT {case['sql']} FROM s WHERE id = 2")
    call = calls[0]["call"]
    assert call["fields"] == case["fields"]
    assert (call["labels"], call["model"]) == (case.get("labels", []), case.get("model"))
    assert (call["task"] is None) != (call["prompt"] is None)
    if "values" in case:
        assert json.loads(rows[0][0]) == case["values"]


@pytest.mark.parametrize("case", cases("catalyst_errors.json"))
def test_what_a_wrong_call_is_told(plans: SparkSession, case: dict[str, Any]) -> None:
    with pytest.raises(AnalysisException) as error:
        plans.sql(case["sql"]).collect()
    for piece in case["says"]:
        assert piece in str(error.value), f"before: {case['sql']}\ngot: {error.value}\nexpected: {piece}"


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_switched_off_gives_the_same_rows(plans: SparkSession, rule: str) -> None:
    sql = """SELECT id, c FROM (SELECT id, llm('classify', review) AS c, llm('classify', title) AS d FROM t)
             WHERE c = llm('classify', 'ok') AND id > 3 ORDER BY id LIMIT 2"""
    limited = "SELECT id, llm('classify', review) AS c FROM t WHERE llm('classify', review) = 'OK' ORDER BY id LIMIT 5"
    on = [run(plans, q) for q in (sql, limited)]
    with configured(plans, {f"spark.sparkllm.optimizer.{rule}": "false"}):
        off = [run(plans, q) for q in (sql, limited)]
    assert [rows for rows, _ in on] == [rows for rows, _ in off]
    asked = [sum(c["rows"] for _, calls in runs for c in calls) for runs in (on, off)]
    assert asked[0] <= asked[1], "the rule asks for more rows than its absence"


def test_the_report_adds_up_what_python_returned(plans: SparkSession) -> None:
    _, calls = run(plans, "SELECT llm('classify', review) FROM t")
    assert {k: calls[0][k] for k in COUNTS} == {
        "distinct": 12, "requests": 12, "prompt_tokens": 120, "cached_tokens": 48, "output_tokens": 12, "start_ms": 0,
    }  # fmt: skip


def test_engines_that_tasks_start_at_the_same_time_are_told_as_one_wait(plans: SparkSession) -> None:
    with answering(plans, start_ms=100):
        _, [call] = run(plans, "SELECT llm('classify', review) FROM t")
    assert (call["start_ms"], call["longest_start_ms"]) == (1200, 600), "twelve rows in two tasks"
    _, [call] = run(plans, "SELECT llm('classify', review) FROM t")
    assert (call["start_ms"], call["longest_start_ms"]) == (0, 0)


def test_the_report_has_the_settings_of_each_calls_own_tasks(plans: SparkSession) -> None:
    with configured(plans, {"spark.sparkllm.maxTokens": "7"}):
        frame = plans.sql("SELECT llm('Is it short?', llm('classify', review)) FROM t")
        frame.collect()
    with configured(plans, {"spark.sparkllm.maxTokens": "8"}):
        frame.collect()
        told = [json.loads(text)["calls"] for text in last_reports(plans, 2)]
    assert [call["settings"]["spark.sparkllm.maxTokens"] for calls in told for call in calls] == ["7"] * 4


def test_a_second_action_on_the_same_dataframe_has_a_report_of_its_own(plans: SparkSession) -> None:
    frame = plans.sql("SELECT llm('classify', review) FROM t WHERE id < 5")
    found = []
    for _ in range(2):
        frame.collect()
        found.append(json.loads(last_reports(plans, 1)[0]))
    assert found[0]["query"] < found[1]["query"]
    assert [report["calls"][0]["rows"] for report in found] == [5, 5]


def test_settings_reach_the_tasks_of_an_rdd(plans: SparkSession) -> None:
    """There, Spark's local properties hold none: that is why they travel with the plan."""
    settings = {"spark.sparkllm.maxTokens": "7", "spark.sparkllm.dtype": "auto"}
    with answering(plans, "request"), configured(plans, settings):
        [row] = plans.sql("SELECT llm('classify', review) FROM t WHERE id = 2").rdd.collect()
    request = json.loads(row[0])
    assert list(request) == ["application", "call", "conf", "mark", "control"]
    assert request["application"] == plans.sparkContext.applicationId
    assert (request["call"]["task"], request["call"]["fields"]) == ("classify", ["review"])
    assert request["conf"]["spark.sparkllm.maxTokens"] == "7"
    assert list(request["conf"]) == sorted(request["conf"])
    assert all(key.startswith("spark.sparkllm.") for key in request["conf"])


def test_a_failed_query_is_reported_with_its_error(plans: SparkSession) -> None:
    with pytest.raises(Exception, match="stop here"):
        run(plans, "SELECT llm('classify', review), if(id = 7, raise_error('stop here'), 0) FROM t")
    report = json.loads(last_reports(plans, 1)[0])
    assert not report["succeeded"]
    assert "stop here" in report["error"]


def test_the_seconds_of_a_failed_query_are_those_of_its_run(plans: SparkSession) -> None:
    frame = plans.sql("SELECT llm('classify', review), if(id = 7, raise_error('stop here'), 0) FROM t")
    frame.schema  # noqa: B018 (analysed now, run later)
    time.sleep(1)
    start = time.monotonic()
    with pytest.raises(Exception, match="stop here"):
        frame.collect()
    report = json.loads(last_reports(plans, 1)[0])
    assert 0 < report["seconds"] < time.monotonic() - start


def test_a_write_is_reported_once(plans: SparkSession, tmp_path: Path) -> None:
    create = f"CREATE TABLE kept USING parquet LOCATION '{tmp_path}/kept'"
    assert counted(plans, f"{create} AS SELECT llm('classify', review) AS c FROM t") == [12]
    assert counted(plans, "INSERT INTO kept SELECT llm('classify', review) FROM t WHERE id < 2") == [2]
    assert run(plans, "SELECT count(*) FROM kept") == ([[14]], [])
    plans.sql("DROP TABLE kept")


def test_a_cached_answer_is_asked_for_once(plans: SparkSession) -> None:
    answers = plans.sql("SELECT id, llm('classify', review) AS c FROM t").cache()
    answers.createOrReplaceTempView("answers")
    asked = [counted(plans, "SELECT count(*) FROM answers WHERE c = 'OK'") for _ in range(2)]
    answers.unpersist()
    assert asked == [[12], []]


def test_a_query_with_calls_finds_what_is_cached_without_any(plans: SparkSession) -> None:
    kept = plans.sql("SELECT id, review FROM t WHERE NOT (id > 5 AND title = 'a')").cache()
    kept.createOrReplaceTempView("kept_rows")
    optimized = plan(plans.sql("SELECT llm('classify', review) AS c FROM kept_rows"))
    kept.unpersist()
    assert "InMemoryRelation" in optimized


@pytest.mark.parametrize(("temperature", "asked"), [("0", [12]), ("0.7", [12, 2])])
def test_sampled_answers_of_a_group_are_its_own(plans: SparkSession, temperature: str, asked: list[int]) -> None:
    """Not the greatest of those that its rows have drawn."""
    sql = "SELECT title, count(DISTINCT llm('classify', title)), llm('classify', title) FROM t GROUP BY title"
    with configured(plans, {"spark.sparkllm.temperature": temperature}):
        assert counted(plans, sql) == asked


def test_the_same_dataframe_collected_twice_is_two_reports(plans: SparkSession) -> None:
    frame = plans.sql("SELECT llm('classify', review) FROM t")
    asked = []
    for _ in range(2):
        frame.collect()
        asked.append(rows_asked(plans))
    assert asked == [[12], [12]]


def test_the_dataframe_api_gives_the_same_plan(plans: SparkSession) -> None:
    frame = plans.table("t").select(F.call_function("llm", F.lit("classify"), F.col("review")).alias("c"))
    sql = plans.sql("SELECT llm('classify', review) AS c FROM t")
    assert frame._jdf.queryExecution().optimizedPlan().sameResult(sql._jdf.queryExecution().optimizedPlan())


TYPED = "SELECT llm('Who wrote it?', review, schema => 'name STRING, age INT', selectivity => 0.5) AS r FROM t"


def test_a_schema_types_the_column(plans: SparkSession) -> None:
    frame = plans.sql(TYPED)
    assert frame.schema["r"].dataType.simpleString() == "struct<name:string,age:int>"
    unnamed = plans.sql("SELECT llm('Who wrote it?', review, schema => 'name STRING') FROM t").columns
    assert unnamed == ["llm('Who wrote it?', review, schema => 'name STRING')"]


def test_the_dataframe_function_takes_schema_and_selectivity(plans: SparkSession) -> None:
    call = llm("Who wrote it?", "review", schema="name STRING, age INT", selectivity=0.5)
    frame, sql = plans.table("t").select(call.alias("r")), plans.sql(TYPED)
    assert frame.sameSemantics(sql)
    assert frame.first() == sql.first() == (("GOOD", 4),)


def test_selectivity_is_kept_for_the_rules_and_no_part_of_what_a_call_means(plans: SparkSession) -> None:
    hinted, plain = plans.sql(TYPED), plans.sql(TYPED.replace(", selectivity => 0.5", ""))
    assert hinted.sameSemantics(plain)
    assert not hinted.sameSemantics(plans.sql(TYPED.replace("age", "years")))
    assert "LLMEval llm('Who wrote it?'" in plan(hinted)
    assert "selectivity => 0.5)" in plan(hinted)
    assert "selectivity" not in str(run(plans, TYPED)[1][0]["call"])


@pytest.mark.parametrize("wrong", [{"schema": 5}, {"selectivity": "0.5"}, {"selectivity": True}])
def test_the_dataframe_function_refuses_options_of_the_wrong_type(wrong: dict[str, Any]) -> None:
    with pytest.raises(CallError, match=f"{next(iter(wrong))} takes a"):
        llm("Who wrote it?", "review", **wrong)


def test_explain_shows_prompt_fields_and_model(plans: SparkSession) -> None:
    shown = plans.sql("EXPLAIN SELECT llm('Is {review} good?', title) FROM t").collect()[0][0]
    assert "LLMEval llm('Is {review} good?', title#" in shown
    assert "fields: [title=title#" in shown
    assert "review=review#" in shown
    assert "model: demo" in shown


def test_a_session_without_the_function_says_what_to_call(plans: SparkSession) -> None:
    with pytest.raises(AnalysisException, match=r"sparkllm\.register\(spark\)"):
        plans.newSession().sql("SELECT llm('Say hello to everybody')").collect()


def test_the_counts_stand_in_the_spark_ui(plans: SparkSession) -> None:
    """What the UI's SQL page draws, from the same store."""
    plans.sql("SELECT id, llm('classify', review) AS c FROM t").collect()
    query = query_id(plans)
    store = plans._jsparkSession.sharedState().statusStore()
    nodes, values = store.planGraph(query).allNodes(), store.executionMetrics(query)
    node = next(n for n in map(nodes.apply, range(nodes.size())) if n.name() == "LLMEval")
    metrics = [node.metrics().apply(i) for i in range(node.metrics().size())]
    shown = {m.name(): values.get(m.accumulatorId()).get() for m in metrics if values.contains(m.accumulatorId())}
    assert shown["rows entering LLMEval"] == "12"
    assert shown["requests sent to vLLM"] == "12"
