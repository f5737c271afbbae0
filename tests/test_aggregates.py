"""Groups of any size on the real engine: `llm_agg` and `llm_summarize_agg` beside Spark's own aggregates."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

import sparkllm
from sparkllm import llm_agg, llm_summarize_agg
from tests.settings import configured

PROMPT = "Is the most of it good?"
SHORT = {"spark.sparkllm.maxTokens": "16"}


def a_table(spark: SparkSession, rows: int, groups: int = 1) -> None:
    """Texts of some twelve tokens; the last group has nulls alone."""
    text = "concat('review number ', id, IF(id % 3 = 0, ' is good', ' broke after a week'))"
    frame = spark.range(rows).selectExpr(f"id % {groups} AS g", f"{text} AS text")
    frame.union(spark.createDataFrame([(groups, None)], "g long, text string")).createOrReplaceTempView("texts")


def ask(spark: SparkSession, sql: str) -> list[Row]:
    with configured(spark, SHORT):
        return spark.sql(sql).collect()


def test_a_group_of_one_value_is_one_request_and_one_of_nulls_is_none(spark: SparkSession) -> None:
    a_table(spark, 1)
    rows = ask(spark, f"SELECT g, count(*) AS n, llm_agg('{PROMPT}', text, on_error => 'struct') AS a "
                      "FROM texts GROUP BY g ORDER BY g")  # fmt: skip
    report = sparkllm.last_report(spark)
    assert [(row.g, row.n) for row in rows] == [(0, 1), (1, 1)]
    assert rows[1].a == Row(value=None, error="null_fields: the group has no values")
    assert report.total("requests") == 1
    assert str(report.calls[0].call) == f"llm_agg('{PROMPT}', texts, on_error => 'struct')"


def test_ten_thousand_values_are_read_whole_and_once(spark: SparkSession) -> None:
    a_table(spark, 10_000)
    [row, _] = ask(spark, f"SELECT g, llm_agg('{PROMPT}', text, on_error => 'struct') AS a FROM texts GROUP BY g "
                          "ORDER BY g")  # fmt: skip
    report = sparkllm.last_report(spark)
    assert row.a.value or row.a.error.startswith("truncated")
    assert report.total("requests") > 50  # the demo model's context holds some 150 of them
    assert report.total("prompt_tokens") > 10_000 * 8


def test_the_same_group_is_the_same_answer_however_its_rows_come(spark: SparkSession) -> None:
    a_table(spark, 400, groups=3)
    sql = f"SELECT g, llm_agg('{PROMPT}', text, on_error => 'struct') AS a FROM {{}} GROUP BY g ORDER BY g"
    one = ask(spark, sql.format("texts"))
    other = ask(spark, sql.format("(SELECT * FROM texts DISTRIBUTE BY rand(1) SORT BY rand(2))"))
    assert one == other


def test_the_column_functions_give_the_plans_of_sql(spark: SparkSession) -> None:
    a_table(spark, 30, groups=2)
    in_sql = spark.sql(
        f"SELECT g, llm_agg('{PROMPT}', text) AS a, llm_summarize_agg(text, 20) AS b FROM texts GROUP BY g"
    )
    columns = [llm_agg(PROMPT, "text").alias("a"), llm_summarize_agg("text", 20).alias("b")]
    in_python = spark.table("texts").groupBy("g").agg(*columns)
    assert in_sql.schema == in_python.schema
    with configured(spark, SHORT):
        assert sorted(in_sql.collect()) == sorted(in_python.collect())
    for call in ("llm_summarize_agg(text)", f"llm_agg('{PROMPT}', text)"):
        assert spark.sql(f"SELECT {call} FROM texts").columns == [call]


def test_a_condition_over_an_aggregate_is_a_having(spark: SparkSession) -> None:
    a_table(spark, 30, groups=3)
    rows = ask(spark, f"SELECT g FROM texts GROUP BY g HAVING llm_agg('{PROMPT}', text) IS NULL AND count(*) = 1")
    assert [row.g for row in rows] == [3]


def test_other_columns_can_be_values_too(spark: SparkSession) -> None:
    a_table(spark, 30)
    [row] = ask(spark, "SELECT llm_agg('Which is the largest?', struct(g, text), on_error => 'struct') AS a, "
                       "llm_agg('Which is the largest?', g, on_error => 'struct') AS b FROM texts")  # fmt: skip
    assert all(one.value or one.error.startswith("truncated") for one in (row.a, row.b))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("llm_agg(text)", "llm_agg() expects a prompt and the values of a group, got 1 arguments"),
        ("llm_agg(text, text)", "llm_agg() expects its prompt to be a constant STRING"),
        ("llm_summarize_agg()", "llm_summarize_agg() expects the values of a group first, got nothing"),
        ("llm_summarize_agg(text, 'few')", "max_words"),
    ],
)
def test_wrong_arguments_say_what_is_expected(spark: SparkSession, call: str, message: str) -> None:
    a_table(spark, 3)
    with pytest.raises((AnalysisException, Exception)) as caught:
        spark.sql(f"SELECT {call} FROM texts").collect()
    assert message in str(caught.value)


def test_a_group_takes_part_in_a_join_and_a_window_of_plain_columns(spark: SparkSession) -> None:
    a_table(spark, 30, groups=3)
    summaries = spark.table("texts").groupBy("g").agg(llm_summarize_agg("text").alias("s"), F.count("*").alias("n"))
    with configured(spark, SHORT):
        rows = spark.table("texts").join(summaries, "g").collect()
    assert len(rows) == 31
    assert sparkllm.last_report(spark).total("requests") == 3
