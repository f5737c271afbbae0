"""The typed tasks on a real Spark with a real vLLM and the demo model: types, NULLs, and answers that are cut.

The demo model knows what its lessons taught it: what an answer says is no matter here, its form is.
"""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException, PythonException
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.call_report import CallReport
from sparkllm.errors import CallError
from tests.settings import configured

REVIEWS = [
    (1, "Kettle", "Boils fast, I love it."),
    (2, "Kettle", "Broke after a week. Terrible."),
    (3, "Kettle", "Boils fast, I love it."),
    (4, "Lamp", None),
    (5, None, None),
]


@pytest.fixture(scope="module", autouse=True)
def reviews(spark: SparkSession) -> None:
    table = spark.createDataFrame(REVIEWS, "id int, product string, review string").coalesce(1)
    table.createOrReplaceTempView("typed")


def asked(spark: SparkSession, call: str) -> tuple[list, CallReport]:
    rows = spark.sql(f"SELECT id, {call} FROM typed").collect()
    [report] = sparkllm.last_report(spark).calls
    return [row[1] for row in sorted(rows)], report


def test_a_filter_is_true_or_false_and_asked_once_for_equal_rows(spark: SparkSession) -> None:
    got, report = asked(spark, "llm_filter('Is it about the price?', review)")
    assert {type(value) for value in got[:3]} == {bool}
    assert got[0] == got[2]
    assert got[3:] == [None, None]
    assert (report.requests, report.null_fields, report.truncated) == (2, 2, 0)
    assert report.output_tokens <= 2 * (len("false") + 1)
    kept = spark.sql("SELECT id FROM typed WHERE llm_filter('Is it about the price?', review)").collect()
    assert {row.id for row in kept} == {i + 1 for i, value in enumerate(got) if value}


def test_a_classification_is_that_of_llm(spark: SparkSession) -> None:
    got, _ = asked(spark, "llm_classify(review)")
    assert got == asked(spark, "llm('classify', review)")[0]
    labels = "array('spam', 'ham', 'neither')"
    assert set(asked(spark, f"llm_classify(struct(product, review), {labels})")[0][:4]) <= {"spam", "ham", "neither"}


def test_a_score_is_a_number(spark: SparkSession) -> None:
    got, report = asked(spark, "llm_score('How happy is the writer of {review}, from 0 to 10?')")
    assert {type(value) for value in got[:3]} <= {float, type(None)}
    assert got[3:] == [None, None]
    assert report.truncated + report.engine_error == sum(value is None for value in got[:3])


def test_what_is_extracted_has_the_columns_of_its_schema(spark: SparkSession) -> None:
    got, _ = asked(spark, "llm_extract(review, 'stars INT NOT NULL, gift BOOLEAN NOT NULL')")
    assert all(type(row.stars) is int and type(row.gift) is bool for row in got[:3])
    assert got[3:] == [None, None]


CUT = [
    "llm_translate(review, 'French', {})",
    "llm_summarize(review, {})",
    "llm_gen('Tell it again.', review, {})",
    "llm_extract(review, 'name STRING', {})",
    "llm_fix_grammar(review, {})",
    "llm_mask(review, array('name'), {})",
    "ai_translate(review, 'French')",
]


@pytest.mark.parametrize("call", CUT)
def test_an_answer_that_is_cut_is_null_with_its_reason(spark: SparkSession, call: str) -> None:
    with configured(spark, {"spark.sparkllm.maxTokens": "1"}):
        got, report = asked(spark, call.format("max_tokens => 1"))
    assert got == [None] * 5
    assert (report.truncated, report.null_fields) == (3, 2)


def test_a_text_for_a_prompt_of_ones_own_may_be_cut_and_stays(spark: SparkSession) -> None:
    got, report = asked(spark, "llm('Tell it again.', review, max_tokens => 1)")
    assert all(isinstance(text, str) for text in got[:3])
    assert (report.truncated, report.output_tokens) == (0, report.requests)


def test_an_error_stands_beside_the_value_that_is_missing(spark: SparkSession) -> None:
    got, _ = asked(spark, "llm_extract(review, 'name STRING', max_tokens => 1, on_error => 'struct')")
    assert [row["value"] for row in got] == [None] * 5
    assert all(row.error.startswith("truncated: the answer was cut after 1 tokens") for row in got[:3])
    assert [row.error for row in got[3:]] == ["null_fields: all fields are NULL"] * 2
    found, _ = asked(spark, "llm_filter('Is it good?', review, on_error => 'struct')")
    assert [row.error for row in found[:3]] == [None] * 3


def test_a_call_can_fail_the_job_or_not_whatever_the_session_says(spark: SparkSession) -> None:
    call = "llm_extract(review, 'name STRING', max_tokens => 1, on_error => '{}')"
    with pytest.raises(PythonException, match=r"cut after 1 tokens.*on_error => 'null' for NULL instead"):
        asked(spark, call.format("fail"))
    with configured(spark, {"spark.sparkllm.failOnError": "true"}):
        assert asked(spark, call.format("null"))[0] == [None] * 5


def test_prompts_that_put_text_and_columns_together_share_their_beginning(spark: SparkSession) -> None:
    long = "Read the following review of a product with care, word for word, and then tell whether it is kind. It is: "
    got, report = asked(spark, f"llm_filter('{long}' || review)")
    assert {type(value) for value in got[:3]} == {bool}
    assert (got[3:], report.requests) == ([None, None], 2)
    assert report.static_tokens >= 2 * 16  # the text is the instruction, the column is a field behind it
    assert report.call.fields == ("review",)


def test_an_alternative_name_asks_the_same_question(spark: SparkSession) -> None:
    assert asked(spark, "ai_analyze_sentiment(review)")[1].call.choices == ("positive", "negative", "neutral", "mixed")
    got, _ = asked(
        spark, "ai_query('default', 'Is it kind? ' || review, returnType => 'BOOLEAN', failOnError => false)"
    )
    assert [(type(row.result), row.errorMessage) for row in got[:3]] == [(bool, None)] * 3


def test_a_task_of_ones_own_reaches_the_workers(spark: SparkSession) -> None:
    sparkllm.register_task("gift", "Is it a good gift?", ["yes", "no"], spark=spark)
    got, _ = asked(spark, "llm_gift(review)")
    assert set(got[:3]) <= {"yes", "no"}
    assert got == asked(spark, "llm('gift', review)")[0]
    with pytest.raises(CallError, match="another prompt or output"):
        sparkllm.register_task("gift", "Is it a good gift?", "BOOLEAN", spark=spark)
    with pytest.raises(AnalysisException, match="did you mean 'gift'"):
        spark.sql("SELECT llm('gifts', review) FROM typed")
