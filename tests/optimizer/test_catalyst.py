"""The Catalyst extension: which rows reach the model, what a call holds, and what a wrong call is told.

A stand-in for the engine answers each row with its first field in capitals: these tests are about plans.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkllm import llm
from sparkllm.errors import CallError
from sparkllm.spark_session import last_reports, register
from sparkllm.udf.iterator_udf import iterator_udf

FOLDER = Path(__file__).parent
RULES = ("reuse", "shareCalls", "pushFilters", "pushLimits", "stopAtLimit", "pruneUnused")
COUNTS = ("distinct", "requests", "prompt_tokens", "cached_tokens", "output_tokens", "start_ms")


def stand_in(echo: str = "") -> Any:
    """An `__llm_eval`: the first field in capitals, all `fields` as a JSON array, or the whole `request`.

    A typed answer holds those capitals in its STRINGs and their number in all else.
    Its functions are nested so that Spark sends them to the workers by value.
    """
    texts = [StructField(n, StringType()) for n in ("value", "error")]
    counts = {"distinct": 1, "requests": 1, "prompt_tokens": 10, "cached_tokens": 4, "output_tokens": 1}
    returned = StructType(texts + [StructField(n, IntegerType()) for n in COUNTS])

    def answer(request: str, fields: list[str | None]) -> dict[str, Any]:
        call = json.loads(request)["call"]
        if call["fields"] and all(f is None for f in fields):
            return {"value": None, "error": "null_fields"}
        value = {"fields": json.dumps(fields), "request": request}.get(echo, (fields[0] or "constant").upper())
        if call["schema"]:
            columns = json.loads(call["schema"])["fields"]
            value = json.dumps({c["name"]: value if c["type"] == "string" else len(value) for c in columns})
        return {"value": value, **counts}

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        kind = pa.struct([("value", pa.string()), ("error", pa.string()), *((n, pa.int32()) for n in COUNTS)])
        for requests, rows, *_ in batches:
            pairs = zip(requests.to_pylist(), rows.to_pylist(), strict=True)
            yield pa.array([answer(request, list(row.values())) for request, row in pairs], type=kind)

    return iterator_udf(llm_eval, returned)


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["claim"]) for case in json.loads((FOLDER / name).read_text())]


@pytest.fixture(scope="module")
def plans(spark: SparkSession) -> SparkSession:
    """A session of its own, so that the stand-in answers here and nowhere else."""
    session = register(spark.newSession(), _function=stand_in())
    session.sql("""CREATE TEMP VIEW t AS SELECT int(id) AS id, array('good', 'bad', 'ok', 'meh')[id % 4] AS review,
                   array('a', 'b')[id % 2] AS title FROM range(0, 12, 1, 2)""")
    session.sql("CREATE TEMP VIEW s AS SELECT *, named_struct('c', review, 'd', id) AS b FROM t")
    session.sql("CREATE TEMP VIEW u AS SELECT id AS uid, title AS utitle FROM t WHERE id < 3")
    session.udf.register("exclaim", lambda text: text + "!", "string")
    session.readStream.format("rate").load().createOrReplaceTempView("stream")
    return session


def query_id(spark: SparkSession) -> int:
    return max((json.loads(r)["query"] for r in last_reports(spark, 100)), default=-1)


def run(spark: SparkSession, sql: str) -> tuple[list[list[Any]], list[dict[str, Any]]]:
    """The rows of a query and what each of its LLMEval nodes counted."""
    before = query_id(spark)
    rows = [list(row) for row in spark.sql(sql).collect()]
    reports = [json.loads(r) for r in last_reports(spark, 100)]
    return rows, [call for r in reports if r["query"] > before for call in r["calls"]]


def in_order(rows: list[list[Any]]) -> list[list[Any]]:
    return sorted(rows, key=lambda row: [(v is None, str(v).rjust(9) if isinstance(v, int) else str(v)) for v in row])


@pytest.mark.parametrize("case", cases("catalyst_calls.json"))
def test_rows_that_reach_the_model(plans: SparkSession, case: dict[str, Any]) -> None:
    rows, calls = run(plans, case["sql"])
    got = rows if case.get("ordered") else in_order(rows)
    expected = case["answer"] if case.get("ordered") else in_order(case["answer"])
    plan = plans.sql(case["sql"])._jdf.queryExecution().optimizedPlan().toString()
    assert got == expected, f"before: {case['sql']}\ngot: {got}\nexpected: {expected}\n{plan}"
    counted = [call["rows"] for call in calls]
    assert counted == case["rows"], f"before: {case['sql']}\ngot: {counted}\nexpected: {case['rows']}\n{plan}"
    assert sum(call["null_fields"] for call in calls) == case.get("nulls", 0)


@pytest.mark.parametrize("case", cases("catalyst_fields.json"))
def test_what_a_call_holds(plans: SparkSession, case: dict[str, Any]) -> None:
    plans.udf.register("__llm_eval", stand_in("fields"))
    try:
        rows, calls = run(plans, f"SELECT {case['sql']} FROM s WHERE id = 2")
    finally:
        plans.udf.register("__llm_eval", stand_in())
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
    plans.conf.set(f"spark.sparkllm.optimizer.{rule}", "false")
    try:
        off = [run(plans, q) for q in (sql, limited)]
    finally:
        plans.conf.unset(f"spark.sparkllm.optimizer.{rule}")
    assert [rows for rows, _ in on] == [rows for rows, _ in off]
    asked = [sum(c["rows"] for _, calls in runs for c in calls) for runs in (on, off)]
    assert asked[0] <= asked[1], "the rule asks for more rows than its absence"


def test_the_report_adds_up_what_python_returned(plans: SparkSession) -> None:
    _, calls = run(plans, "SELECT llm('classify', review) FROM t")
    assert {k: calls[0][k] for k in COUNTS} == {
        "distinct": 12, "requests": 12, "prompt_tokens": 120, "cached_tokens": 48, "output_tokens": 12, "start_ms": 0,
    }  # fmt: skip


def test_settings_reach_the_tasks_of_an_rdd(plans: SparkSession) -> None:
    """There, Spark's local properties hold none: that is why they travel with the plan."""
    plans.udf.register("__llm_eval", stand_in("request"))
    plans.conf.set("spark.sparkllm.maxTokens", "7")
    plans.conf.set("spark.sparkllm.dtype", "auto")
    try:
        [row] = plans.sql("SELECT llm('classify', review) FROM t WHERE id = 2").rdd.collect()
    finally:
        plans.conf.unset("spark.sparkllm.maxTokens")
        plans.conf.unset("spark.sparkllm.dtype")
        plans.udf.register("__llm_eval", stand_in())
    request = json.loads(row[0])
    assert list(request) == ["application", "call", "conf", "mark"]
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
    _, calls = run(plans, f"{create} AS SELECT llm('classify', review) AS c FROM t")
    assert [c["rows"] for c in calls] == [12]
    _, calls = run(plans, "INSERT INTO kept SELECT llm('classify', review) FROM t WHERE id < 2")
    assert [c["rows"] for c in calls] == [2]
    assert run(plans, "SELECT count(*) FROM kept") == ([[14]], [])
    plans.sql("DROP TABLE kept")


def test_a_cached_answer_is_asked_for_once(plans: SparkSession) -> None:
    answers = plans.sql("SELECT id, llm('classify', review) AS c FROM t").cache()
    answers.createOrReplaceTempView("answers")
    counted = [[c["rows"] for c in run(plans, "SELECT count(*) FROM answers WHERE c = 'OK'")[1]] for _ in range(2)]
    answers.unpersist()
    assert counted == [[12], []]


def test_the_same_dataframe_collected_twice_is_two_reports(plans: SparkSession) -> None:
    frame = plans.sql("SELECT llm('classify', review) FROM t")
    counted = []
    for _ in range(2):
        frame.collect()
        counted.append(json.loads(last_reports(plans, 1)[0])["calls"][0]["rows"])
    assert counted == [12, 12]


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
    assert "LLMEval llm('Who wrote it?'" in (plan := hinted._jdf.queryExecution().optimizedPlan().toString())
    assert "selectivity => 0.5)" in plan
    assert "selectivity" not in str(run(plans, TYPED)[1][0]["call"])


@pytest.mark.parametrize("wrong", [{"schema": 5}, {"selectivity": "0.5"}, {"selectivity": True}])
def test_the_dataframe_function_refuses_options_of_the_wrong_type(wrong: dict[str, Any]) -> None:
    with pytest.raises(CallError, match=f"{next(iter(wrong))} takes a"):
        llm("Who wrote it?", "review", **wrong)


def test_explain_shows_prompt_fields_and_model(plans: SparkSession) -> None:
    plan = plans.sql("EXPLAIN SELECT llm('Is {review} good?', title) FROM t").collect()[0][0]
    assert "LLMEval llm('Is {review} good?', title#" in plan
    assert "fields: [title=title#" in plan
    assert "review=review#" in plan
    assert "model: demo" in plan


def test_a_session_without_the_function_says_what_to_call(plans: SparkSession) -> None:
    with pytest.raises(AnalysisException, match=r"sparkllm\.register\(spark\)"):
        plans.newSession().sql("SELECT llm('Say hello to everybody')").collect()


def test_the_counts_stand_in_the_spark_ui(plans: SparkSession) -> None:
    """What the UI's SQL page draws, from the same store."""
    plans.sql("SELECT id, llm('classify', review) AS c FROM t").collect()
    query = json.loads(last_reports(plans, 1)[0])["query"]
    store = plans._jsparkSession.sharedState().statusStore()
    nodes, values = store.planGraph(query).allNodes(), store.executionMetrics(query)
    node = next(n for n in map(nodes.apply, range(nodes.size())) if n.name() == "LLMEval")
    metrics = [node.metrics().apply(i) for i in range(node.metrics().size())]
    shown = {m.name(): values.get(m.accumulatorId()).get() for m in metrics if values.contains(m.accumulatorId())}
    assert shown["rows entering LLMEval"] == "12"
    assert shown["requests sent to vLLM"] == "12"
