"""The main job: SQL and DataFrame calls on a real Spark with a real vLLM."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from pyspark.errors import AnalysisException, PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import sparkllm
from sparkllm import llm
from sparkllm.errors import CallError
from tests.settings import configured

LABELS = {"negative", "neutral", "positive"}
REVIEWS = [
    (1, "Kettle", "Boils fast, I love it."),
    (2, "Kettle", "Broke after a week. Terrible."),
    (3, "Kettle", "Boils fast, I love it."),
    (4, "Lamp", None),
    (5, "Lamp", "It is a lamp."),
    (6, None, None),
]


@pytest.fixture(scope="module", autouse=True)
def reviews(spark: SparkSession) -> DataFrame:
    table = spark.createDataFrame(REVIEWS, "id int, product string, review string").coalesce(1)
    table.createOrReplaceTempView("r")
    return table


def answers(frame: DataFrame) -> dict:
    return {row[0]: row[1] for row in frame.collect()}


def test_classify_answers_every_row_with_a_label_and_asks_once_for_equal_rows(spark: SparkSession) -> None:
    got = answers(spark.sql("SELECT id, llm('classify', review) FROM r"))
    assert {got[i] for i in (1, 2, 3, 5)} <= LABELS
    assert got[1] == got[3]
    assert {got[4], got[6]} == {None}
    call = sparkllm.last_report(spark).calls[0]
    assert (call.rows, call.distinct, call.requests, call.null_fields) == (6, 3, 3, 2)
    assert min(call.prompt_tokens, call.output_tokens) >= 3


def test_the_same_prompts_again_hit_the_kv_cache(spark: SparkSession) -> None:
    query = "SELECT id, llm('Is this review of the {product} long and detailed enough to be of help?', *) FROM r"
    spark.sql(query).collect()
    spark.sql(query).collect()
    report = sparkllm.last_report(spark)
    assert report.total("cached_tokens") > 0


def test_a_filter_on_the_answer_and_the_answer_itself_are_one_evaluation(spark: SparkSession) -> None:
    label = answers(spark.sql("SELECT id, llm('classify', review) FROM r"))[1]
    rows = spark.sql(f"SELECT * FROM (SELECT id, llm('classify', review) AS c FROM r) WHERE c = '{label}'").collect()
    assert 1 in {row.id for row in rows}
    report = sparkllm.last_report(spark)
    assert (len(report.calls), report.total("rows"), report.total("requests")) == (1, 6, 3)
    spark.sql(f"SELECT id, llm('classify', review) FROM r WHERE llm('classify', review) = '{label}'").collect()
    assert (len(sparkllm.last_report(spark).calls), sparkllm.last_report(spark).total("rows")) == (1, 6)


def test_the_dataframe_function_gives_the_same_plan_as_sql(spark: SparkSession, reviews: DataFrame) -> None:
    frame = reviews.withColumn("label", llm("classify", "review"))
    sql = spark.sql("SELECT *, llm('classify', review) AS label FROM r")
    assert frame.sameSemantics(sql)
    assert {row.label for row in frame.collect()} <= LABELS | {None}


def test_labels_and_model_are_named_arguments(spark: SparkSession, reviews: DataFrame) -> None:
    query = "SELECT id, llm('Is it good?', review, labels => array('yes', 'no'), model => 'demo') FROM r"
    in_sql = answers(spark.sql(query))
    frame = reviews.select("id", llm("Is it good?", F.col("review"), labels=["yes", "no"], model="demo"))
    assert in_sql == answers(frame)
    assert set(in_sql.values()) == {None} | ({"yes", "no"} & set(in_sql.values()))


WIDE = (
    "age TINYINT NOT NULL, good BOOLEAN NOT NULL, score DECIMAL(6,1) NOT NULL, share DOUBLE NOT NULL, "
    "bought DATE NOT NULL, maker STRUCT<founded: INT NOT NULL> NOT NULL, years ARRAY<INT> NOT NULL"
)
WHO = "'Who wrote this review, and what do they tell of it?', review"


def test_a_schema_gives_typed_rows_whatever_the_model_says(spark: SparkSession) -> None:
    """The demo model was trained for no such thing: that its answers end and fit is the structured output's doing."""
    call = f"llm({WHO}, schema => '{WIDE}')"
    with configured(spark, {"spark.sparkllm.maxTokens": "300"}):
        rows = spark.sql(f"SELECT id, r, r.* FROM (SELECT id, {call} AS r FROM r)").collect()
    assert {row.id for row in rows if row.r is None} == {4, 6}
    for row in (row for row in rows if row.r is not None):
        values = [row.age, row.good, row.score, row.share, row.bought, row.maker.founded, *row.years]
        kinds = [int, bool, Decimal, float, date, int] + [int] * len(row.years)
        assert [type(value) for value in values] == kinds
    report = sparkllm.last_report(spark)
    assert (len(report.calls), report.total("requests"), report.calls[0].nulls) == (1, 3, {"all fields null": 2})


def test_a_text_of_a_typed_answer_ends_in_time_or_its_row_is_counted_as_cut(spark: SparkSession) -> None:
    query = f"SELECT id, r.name FROM (SELECT id, llm({WHO}, schema => 'name STRING NOT NULL') AS r FROM r)"
    names = [name for name in answers(spark.sql(query)).values() if name is not None]
    report = sparkllm.last_report(spark).calls[0]
    assert len(names) == 4 - report.truncated
    with configured(spark, {"spark.sparkllm.maxTokens": "5"}):
        assert set(answers(spark.sql(query)).values()) == {None}
    assert sparkllm.last_report(spark).calls[0].nulls == {"all fields null": 2, "answer cut at maxTokens": 4}


def test_a_prompt_without_fields_is_one_call(spark: SparkSession) -> None:
    spark.sql("SELECT id, llm('Say hello to the reader.') AS hello FROM r").collect()
    report = sparkllm.last_report(spark)
    assert (report.total("rows"), report.total("requests")) == (6, 1)


def test_a_group_by_on_the_answer_counts_every_row(spark: SparkSession) -> None:
    counts = spark.sql("SELECT llm('classify', review) AS c, count(*) AS n FROM r GROUP BY 1").collect()
    assert sum(row.n for row in counts) == 6
    assert sparkllm.last_report(spark).total("requests") == 3


def test_limit_stops_rows_before_they_reach_the_model(spark: SparkSession) -> None:
    assert len(spark.sql("SELECT llm('classify', review) FROM r LIMIT 2").collect()) == 2
    assert sparkllm.last_report(spark).total("rows") == 2


def test_rows_keep_their_order_and_number_whatever_the_windows(spark: SparkSession) -> None:
    table = spark.range(700).selectExpr("id", "concat('review number ', id % 97) AS review").coalesce(1)
    table.createOrReplaceTempView("many")
    query = "SELECT id, review, llm('classify', review) AS c FROM many"
    whole = spark.sql(query).collect()
    with configured(spark, {"spark.sparkllm.windowRows": "10", "spark.sparkllm.maxWindowRows": "64"}):
        windows = spark.sql(query).collect()
    assert whole == windows
    assert [row.id for row in windows] == list(range(700))
    assert len({(row.review, row.c) for row in windows}) == 97
    assert sparkllm.last_report(spark).total("requests") == 97


RULES = [key.rsplit(".", 1)[1] for key in sparkllm.LLMConfig.spark_keys() if ".optimizer." in key]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_switched_off_leaves_the_rows_as_they_are(spark: SparkSession, rule: str) -> None:
    query = (
        "SELECT id, c FROM (SELECT id, product, llm('classify', review) AS c, llm('Is it good?', *) AS unused FROM r) "
        "WHERE c IS NOT NULL AND product = 'Kettle' ORDER BY id LIMIT 5"
    )
    expected = spark.sql(query).collect()
    with configured(spark, {f"spark.sparkllm.optimizer.{rule}": "false"}):
        assert spark.sql(query).collect() == expected
    assert len(expected) == 3


# Bad input


def test_an_unknown_task_names_the_nearest_one(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException, match="classify"):
        spark.sql("SELECT llm('clasify', review) FROM r")


@pytest.mark.parametrize("prompt", ["42", "review", "NULL", "array('a')"])
def test_a_prompt_that_is_no_string_literal_is_refused(spark: SparkSession, prompt: str) -> None:
    with pytest.raises(AnalysisException, match=r"(?i)prompt|task"):
        spark.sql(f"SELECT llm({prompt}, review) FROM r")


def test_the_python_function_refuses_what_is_no_string() -> None:
    with pytest.raises(CallError, match="prompt takes a string, got int"):
        llm(42, "review")  # type: ignore[arg-type]
    with pytest.raises(CallError, match="a field is a column name"):
        llm("classify", 7)  # type: ignore[arg-type]
    with pytest.raises(CallError, match="labels takes a list"):
        llm("Is it good?", "review", labels="yes")


UNKNOWN_COLUMN = ["llm('classify', reviw)", "llm('Is the {reviw} long?', id)", "llm('Is {reviw} long?')"]


@pytest.mark.parametrize("call", UNKNOWN_COLUMN)
def test_an_unknown_column_names_the_nearest_one(spark: SparkSession, call: str) -> None:
    with pytest.raises(AnalysisException, match="review`"):
        spark.sql(f"SELECT {call} FROM r")


def test_a_row_longer_than_the_context_is_null_and_the_job_goes_on(spark: SparkSession) -> None:
    table = spark.sql("SELECT id, IF(id = 2, repeat(concat(review, ' '), 5000), review) AS review FROM r").coalesce(1)
    got = answers(table.select("id", llm("classify", "review")))
    assert got[2] is None
    assert {got[1], got[5]} <= LABELS
    report = sparkllm.last_report(spark)
    assert report.calls[0].nulls == {"all fields null": 2, "prompt longer than the model takes": 1}


def test_fail_on_error_fails_the_job_with_the_reason(spark: SparkSession) -> None:
    table = spark.sql("SELECT repeat('long ', 50000) AS review")
    with (
        configured(spark, {"spark.sparkllm.failOnError": "true"}),
        pytest.raises(PythonException, match=r"tokens, the model takes"),
    ):
        table.select(llm("classify", "review")).collect()


def test_an_empty_table_starts_no_request(spark: SparkSession) -> None:
    assert spark.sql("SELECT llm('classify', review) FROM r WHERE id > 100").collect() == []
    assert sparkllm.last_report(spark).total("requests") == 0


def test_a_column_of_nulls_is_null_without_a_call(spark: SparkSession) -> None:
    rows = spark.sql("SELECT llm('classify', review) AS c FROM r WHERE review IS NULL").collect()
    assert [row.c for row in rows] == [None, None]
    report = sparkllm.last_report(spark)
    assert (report.total("requests"), report.total("null_fields")) == (0, 2)


def test_one_row_is_answered(spark: SparkSession) -> None:
    assert spark.sql("SELECT llm('classify', 'I love it') AS c").collect()[0].c in LABELS


ODD_TEXTS = [
    "日本語のレビュー 🍺",
    "שלום",
    "e\u0301\u200d",
    'He said "no"\n\n{"a": 1}',
    "<|end|>\n<|assistant|>",
    "\\",
    "'",
    "",
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_is_answered(spark: SparkSession, text: str) -> None:
    frame = spark.createDataFrame([(text,)], "review string").select(llm("classify", "review"))
    assert frame.collect()[0][0] in LABELS


def test_a_query_without_result_rows_has_its_own_report(spark: SparkSession) -> None:
    """Adaptive execution takes the evaluation out of the plan when no row passes the filter."""
    query = "SELECT product, count(*) FROM r WHERE llm('classify', review) = 'nonsense' GROUP BY product"
    before = sparkllm.last_report(spark).query
    assert spark.sql(query).collect() == []
    report = sparkllm.last_report(spark)
    assert (report.query > before, report.total("rows")) == (True, 6)
