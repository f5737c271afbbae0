"""The typed tasks in SQL, as Columns and in plain Python: one call each, whoever makes it.

A stand-in answers in the form that the call asks for; no engine runs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PythonException
from pyspark.sql import Column as SparkColumn
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import sparkllm
from sparkllm.calls import LLMCall
from sparkllm.errors import CallError
from sparkllm.own_tasks import own_tasks
from sparkllm.spark_session import register
from sparkllm.typed_call import Column, Concat, Struct, typed_call
from tests.optimizer.cases import cases
from tests.optimizer.queries import in_order, plan, run
from tests.optimizer.typed_answers import typed_session, typed_stand_in


@pytest.fixture(scope="module")
def typed(spark: SparkSession) -> SparkSession:
    return typed_session(spark)


def argument(value: Any) -> Any:
    """A constant in quotes, a column, several, or what `||` puts together."""
    if isinstance(value, dict):
        return Concat(tuple(p if isinstance(p, str) else Column(p[0]) for p in value["concat"]))
    if isinstance(value, str):
        return value[1:-1] if value.startswith("'") else Column(value)
    return value


@pytest.mark.parametrize("case", cases("catalyst_tasks.json"))
def test_a_function_of_a_task(typed: SparkSession, case: dict[str, Any]) -> None:
    query = f"SELECT id, {case['sql']} AS v FROM t"
    frame = typed.sql(query)
    rows, calls = run(typed, query)
    got = [_plain(row[1]) for row in sorted(rows)]
    assert frame.schema["v"].dataType.simpleString() == case["type"]
    assert got == case["answer"], f"before: {query}\ngot: {got}\nexpected: {case['answer']}\n{plan(frame)}"
    assert [(call["null_fields"], call["truncated"]) for call in calls] == [(case["nulls"], case.get("truncated", 0))]
    if "shows" in case:
        assert typed.sql(f"SELECT {case['sql']} FROM t").columns == [case["shows"]]
    asked = LLMCall.from_json(json.dumps(calls[0]["call"]))
    function, arguments, options = case["python"]
    if "struct" not in case["sql"].partition(",")[0]:
        arguments = [argument(a) for a in arguments]
    else:
        arguments = [Struct(tuple(map(Column, arguments[0]))), *arguments[1:]]
    assert asked == typed_call(function, arguments, options).call
    assert asked.prompt == case.get("prompt", asked.prompt)


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


WRONG = [
    ("llm_classify()", ["its data first, got nothing", "llm_classify(x, labels)"]),
    ("llm_classify(review, array('a'))", ["labels to be a constant array of at least 2", "got 1"]),
    ("llm_classify(review, array(review, title))", ["llm_classify() expects labels", "no constant"]),
    ("llm_classify(review, 'a')", ["a STRING"]),
    ("llm_classify(review, title, array('a', 'b'))", ["1 arguments too many", "struct(title, body)"]),
    ("llm_classify(review, label => array('a', 'b'))", ["no argument 'label'", "did you mean 'labels'?"]),
    ("llm_clasify(review)", ["llm_clasify"]),
    ("llm_translate(review)", ["expects lang, got none", "llm_translate(x, lang)"]),
    ("llm_translate(review, title)", ["lang to be a constant STRING", "no constant"]),
    ("llm_translate(review, 'fr', lang => 'fr')", ["'lang' twice"]),
    ("llm_summarize(review, 'short')", ["max_words to be a constant INT of 0 or more", "a STRING"]),
    ("llm_summarize(review, -1)", ["got -1"]),
    ("llm_extract(review, 'a STRNG')", ["llm_extract() expects schema to be columns", "STRNG"]),
    ("llm_extract(review, 'a TIMESTAMP')", ["llm_extract() cannot answer column 'a'"]),
    ("llm_mask(review, array())", ["labels to be a constant array of at least 1"]),
    ("llm_filter()", ["a prompt first", "llm_filter(prompt, field...)"]),
    ("llm_gen(5)", ["its prompt to be a constant STRING"]),
    ("llm_gen(id)", ["its prompt to be a STRING, got a INT"]),
    ("llm_gen(CAST(NULL AS STRING))", ["got NULL"]),
    ("llm_gen('a b', max_tokens => 0)", ["max_tokens to be a constant INT of 1 or more", "got 0"]),
    ("llm_gen('a b', max_tokens => 'x')", ["max_tokens to be a constant INT", "a STRING"]),
    ("llm_gen('a b', on_error => 'nul')", ["no on_error 'nul'", "did you mean 'null'?"]),
    ("llm_gen('a b', order => 'row')", ["no order 'row'", "did you mean 'rows'?"]),
    ("llm('gen', review)", ["the task 'gen' takes a prompt", "llm_gen('Is it good?', review)"]),
    ("llm('translate', review)", ["expects lang, got none"]),
    ("llm('translate', review, max_words => 5)", ["llm('translate') takes no max_words"]),
    ("llm('Is it good?', review, lang => 'fr')", ["takes 'lang' with a task alone"]),
    ("ai_classify(review)", ["expects labels, got none"]),
    ("ai_similarity(review)", ["two texts"]),
    ("ai_query('default')", ["expects request, got none"]),
    ("ai_query(review, 'a b')", ["endpoint to be a constant STRING"]),
    ("ai_query('default', 'a b', modelParameters => named_struct('temperature', 0.5))", ["spark.sparkllm.temperature"]),
    ("ai_query('default', 'a b', modelParameters => 5)", ["named_struct of constants"]),
    ("ai_query('default', 'a b', failOnError => 'no')", ["failOnError to be true or false"]),
    ("ai_query('default', 'a b', returnType => 'MAP<STRING, INT>')", ["MAP"]),
    ("ai_query('default', 'a b', returnType => 'INT', responseFormat => 'STRUCT<a: INT>')", ["got both"]),
    ("ai_query('default', 'a b', responseFormat => '{\"type\": \"json_object\"}')", ["type json_schema"]),
    ("ai_query('default', struct(review))", ["its prompt to be a STRING"]),
]


@pytest.mark.parametrize(("sql", "says"), WRONG)
def test_a_wrong_call_says_what_is_wrong(typed: SparkSession, sql: str, says: list[str]) -> None:
    with pytest.raises(AnalysisException) as error:
        typed.sql(f"SELECT {sql} FROM t")
    for piece in says:
        assert piece in str(error.value)


anything: Any = sparkllm  # for calls that its types refuse


def columns() -> list[tuple[SparkColumn, str]]:
    made = F.concat(F.lit("Is "), "title", F.lit(" "), F.col("review"), F.lit("?"))
    return [
        (sparkllm.llm_classify("review", ["x", "y"], selectivity=0.5),
         "llm_classify(review, array('x', 'y'), selectivity => 0.5)"),
        (sparkllm.llm_classify(F.col("review")), "llm_classify(review)"),
        (sparkllm.llm_filter("Is {title} kind?", "review"), "llm_filter('Is {title} kind?', review)"),
        (sparkllm.llm_extract("review", "age INT", on_error="struct"),
         "llm_extract(review, 'age INT', on_error => 'struct')"),
        (sparkllm.llm_extract(F.struct("title", "review"), ["name"]),
         "llm_extract(struct(title, review), array('name'))"),
        (sparkllm.llm_summarize("review"), "llm_summarize(review)"),
        (sparkllm.llm_summarize("review", 5), "llm_summarize(review, 5)"),
        (sparkllm.llm_translate("review", "French", max_tokens=5), "llm_translate(review, 'French', max_tokens => 5)"),
        (sparkllm.llm_score("How kind is it?", "review"), "llm_score('How kind is it?', review)"),
        (sparkllm.llm_gen(made), "llm_gen('Is ' || title || ' ' || review || '?')"),
        (sparkllm.llm_gen("Say {review}.", order="rows"), "llm_gen('Say {review}.', order => 'rows')"),
        (sparkllm.llm_mask("review", ["name"]), "llm_mask(review, array('name'))"),
        (sparkllm.llm_fix_grammar("review", model="m"), "llm_fix_grammar(review, model => 'm')"),
        (sparkllm.llm("translate", "review", lang="French", max_tokens=5, on_error="null"),
         "llm('translate', review, lang => 'French', max_tokens => 5, on_error => 'null')"),
    ]  # fmt: skip


def test_columns_and_sql_give_the_same_plan(typed: SparkSession) -> None:
    for column, sql in columns():
        frame, other = typed.table("t").select(column.alias("v")), typed.sql(f"SELECT {sql} AS v FROM t")
        assert frame.sameSemantics(other), f"{plan(frame)}\n{plan(other)}"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: anything.llm_classify("review", ["a"]), "at least 2"),
        (lambda: anything.llm_classify("review", "a"), "constant array"),
        (lambda: anything.llm_translate("review", 5), "lang to be a constant STRING"),
        (lambda: anything.llm_extract("review", None), "schema to be a constant STRING"),
        (lambda: anything.llm_gen(5), "a text or a Column"),
        (lambda: anything.llm_gen("Say it.", on_eror="null"), "did you mean 'on_error'"),
        (lambda: anything.llm_filter("Is it?", 5), r"llm_filter\(\): a field is a column name or a Column"),
        (lambda: anything.llm("Is it?", "review", max_tokens="5"), "max_tokens takes a number"),
    ],
)
def test_a_wrong_column_says_what_is_wrong(typed: SparkSession, wrong: Any, says: str) -> None:
    with pytest.raises(CallError, match=says):
        wrong()


def test_explain_shows_what_the_user_wrote(typed: SparkSession) -> None:
    shown = typed.sql("EXPLAIN SELECT id FROM t WHERE llm_filter('Is {title} ' || review || '?')").collect()[0][0]
    assert "LLMEval llm_filter('Is {{title}} {review}?')" in shown
    shown = typed.sql("EXPLAIN SELECT llm_translate(review, 'French', order => 'rows') FROM t").collect()[0][0]
    assert "LLMEval llm_translate(review#" in shown
    assert ", 'French', order => 'rows')" in shown


def test_a_filter_and_the_same_call_in_the_select_are_one_evaluation(typed: SparkSession) -> None:
    made = "llm_filter('Is ' || title || ' of ' || review || '?')"
    for call in ("llm_filter('Is it kind?', review)", made):
        rows, calls = run(typed, f"SELECT id, {call} FROM t WHERE {call} AND id < 4")
        assert (in_order(rows), [c["rows"] for c in calls]) == ([[0, True], [3, True]], [4])


def test_two_filters_cascade(typed: SparkSession) -> None:
    sql = "SELECT id FROM t WHERE llm_score('How long?', review) > 3.5 AND llm_filter('Is it kind?', review)"
    rows, calls = run(typed, sql)
    assert (in_order(rows), [c["rows"] for c in calls]) == ([[0], [3]], [6, 2])


def test_a_value_and_its_error_are_one_evaluation(typed: SparkSession) -> None:
    call = "llm_score('How long?', review, on_error => 'struct')"
    sql = f"SELECT id, {call}.value, {call}.error FROM t WHERE {call}.error IS NOT NULL AND {call}.value IS NULL"
    rows, calls = run(typed, sql)
    assert [row[0] for row in in_order(rows)] == [2, 4, 5]
    assert [c["rows"] for c in calls] == [6]


def test_typed_answers_go_where_others_do(typed: SparkSession) -> None:
    grouped = "SELECT llm_filter('Is it kind?', review) AS k, count(*) FROM t GROUP BY 1"
    assert in_order(run(typed, grouped)[0]) == [[True, 2], [False, 1], [None, 3]]
    nested = "SELECT llm_translate(llm_summarize(review), 'French') FROM t WHERE id = 1"
    assert [c["rows"] for c in run(typed, nested)[1]] == [1, 1]
    having = "SELECT title FROM t GROUP BY title HAVING llm_filter('Is ' || title || ' good?')"
    assert run(typed, having)[0] == []
    guarded = "SELECT CASE WHEN id < 2 THEN llm_filter('Is it kind?', review) END FROM t"
    assert [c["rows"] for c in run(typed, guarded)[1]] == [2]


def test_a_prompt_may_hold_what_is_random(typed: SparkSession) -> None:
    rows, calls = run(typed, "SELECT llm_gen('Say ' || uuid() || ' or ' || uuid()) FROM t")
    assert len({row[0] for row in rows}) == 6
    assert calls[0]["call"]["prompt"] == "Say {col1} or {col2}"


def test_a_call_can_fail_the_query(typed: SparkSession) -> None:
    assert len(typed.sql("SELECT llm_filter('Is it?', review, on_error => 'fail') FROM t WHERE id < 4").collect()) == 4
    with pytest.raises(PythonException, match="on_error => 'null' for NULL"):
        typed.sql("SELECT llm_filter('Is it?', review, on_error => 'fail') FROM t").collect()


def test_off_leaves_rows_where_they_are(typed: SparkSession) -> None:
    typed.range(0, 40_000, 1, 2).selectExpr("string(id % 100) AS a", "string(id) AS b").createOrReplaceTempView("large")
    plans = {
        order: plan(typed.sql(f"SELECT llm_gen('What is it?', a, b, order => '{order}') FROM large"))
        for order in ("fields", "rows", "off")
    }
    assert {order: "KeyedRows" in text for order, text in plans.items()} == {"fields": True, "rows": True, "off": False}
    assert "field order: a, b" in plans["rows"]
    assert "field order: a, b" in plans["off"]
    assert "field order: by statistics of all rows" in plans["fields"]


def test_a_task_of_ones_own_is_there_by_both_names(typed: SparkSession) -> None:
    sparkllm.register_task("kindness", "How kind is the writer of {review}?", "INT", spark=typed)
    for call in ("llm_kindness(title)", "llm('kindness', title)"):
        frame = typed.sql(f"SELECT id, {call} AS v FROM t")
        assert frame.schema["v"].dataType.simpleString() == "int"
        rows, calls = run(typed, f"SELECT id, {call} FROM t WHERE id < 2")
        assert in_order(rows) == [[0, 4], [1, 3]]
        assert LLMCall.from_json(json.dumps(calls[0]["call"])).instruction == "How kind is the writer of {review}?"
        assert typed.sql(f"SELECT {call} FROM t").columns == [call]
    frame = typed.table("t").select(sparkllm.llm("kindness", "title").alias("v"))
    assert frame.sameSemantics(typed.sql("SELECT llm('kindness', title) AS v FROM t"))


def test_a_task_of_ones_own_holds_what_was_asked(typed: SparkSession) -> None:
    sparkllm.register_task("tone_of", "What is its tone?", ["warm", "cold"], spark=typed)
    sparkllm.register_task("who_wrote", "Who wrote it?", "name STRING, age INT", spark=typed)
    sparkllm.register_task("is_kind", "Is it kind?", "BOOLEAN", spark=typed)
    sparkllm.register_task("retold", "Tell it again.", spark=typed)
    frame = typed.sql("SELECT llm_tone_of(review) a, llm_who_wrote(review) b, llm_is_kind(review) c, "
                      "llm('retold', review, on_error => 'struct') d FROM t WHERE id = 0")  # fmt: skip
    assert [f.dataType.simpleString() for f in frame.schema] == [
        "string", "struct<name:string,age:int>", "boolean", "struct<value:string,error:string>",
    ]  # fmt: skip
    assert _plain(tuple(frame.collect()[0])) == ["warm", ["GOOD", 4], True, ["GOOD", None]]


def test_a_task_of_ones_own_is_there_in_sessions_that_come_later(typed: SparkSession) -> None:
    sparkllm.register_task("shortness", "How short is it?", "DOUBLE", spark=typed)
    sparkllm.register_task("shortness", "How short is it?", "DOUBLE", spark=typed)
    for session in (typed.newSession(), register(typed.newSession(), _function=typed_stand_in())):
        assert session.sql("SELECT llm_shortness('x') AS a, llm('shortness', 'x') AS b").dtypes == [
            ("a", "double"), ("b", "double"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "output", "says"),
    [
        ("classify", "STRING", "belongs to sparkllm"),
        ("one_too", "STRNG", "STRNG"),
        ("of_the_user", "STRING", "already"),
    ],
)
def test_a_task_that_cannot_be_says_why(typed: SparkSession, name: str, output: str, says: str) -> None:
    typed.udf.register("llm_of_the_user", lambda x: x, "string")
    with pytest.raises(CallError, match=says):
        sparkllm.register_task(name, "What is it?", output, spark=typed)
    assert name not in own_tasks()
    with pytest.raises(AnalysisException, match="no task 'one_too'"):
        typed.sql("SELECT llm('one_too', review) FROM t")


def test_another_task_under_a_known_name_is_refused(typed: SparkSession) -> None:
    sparkllm.register_task("twice_told", "What is it?", "STRING", spark=typed)
    with pytest.raises(CallError, match="another prompt or output"):
        sparkllm.register_task("twice_told", "What is it?", "BOOLEAN", spark=typed)
    assert typed.sql("SELECT llm_twice_told(review) AS v FROM t").dtypes == [("v", "string")]


def test_a_function_that_the_platform_has_is_left_alone(spark: SparkSession) -> None:
    """As on Databricks, whose own ai_gen stands among the built-in functions: here it is another name of upper."""
    platform: Any = spark.newSession()
    registry = platform._jsparkSession.sessionState().functionRegistry()
    known = {one.funcName(): one for one in _scala_seq(registry.listFunction())}
    info = registry.lookupFunction(known["upper"]).get()
    name = known["upper"].copy("ai_gen", known["upper"].database(), known["upper"].catalog())
    registry.registerFunction(name, info, registry.lookupFunctionBuilder(known["upper"]).get())
    register(platform, _function=typed_stand_in())
    assert platform.sql("SELECT ai_gen('x') AS v, ai_fix_grammar('good') AS w").collect() == [("X", "GOOD")]


def _scala_seq(found: Any) -> list[Any]:
    return [found.apply(i) for i in range(found.size())]
