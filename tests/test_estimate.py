"""sparkllm.explain(): what a query will ask, told before it asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.calls import LLMCall
from sparkllm.estimate import CallEstimate, QueryEstimate, Sampled
from sparkllm.model_tokenizer import RoughTokenizer, model_tokenizer
from sparkllm.spark_session import register
from tests.optimizer.capitals import stand_in
from tests.optimizer.queries import jobs_started, plan
from tests.settings import configured

QUESTION = "SELECT id, llm('Is this review about the price?', product, description, review) AS c FROM reviews"


@pytest.fixture(scope="module")
def counting(spark: SparkSession) -> SparkSession:
    """A session of its own whose stand-in would show in a report."""
    session = register(spark.newSession(), _function=stand_in())
    session.range(0, 3000, 1, 3).selectExpr("id", "string(id % 50) AS word").createOrReplaceTempView("words")
    return session


def only(estimate: QueryEstimate) -> tuple[CallEstimate, Sampled]:
    [call] = estimate.calls
    assert call.sampled is not None
    return call, call.sampled


def test_the_estimate_of_all_rows_is_what_the_run_then_reports(shop: SparkSession) -> None:
    _, sampled = only(sparkllm.explain(QUESTION, shop))
    shop.sql(QUESTION).collect()
    report = sparkllm.last_report(shop)
    ran = report.calls[0]
    assert sampled.whole
    assert (sampled.rows, sampled.calls) == (ran.rows, ran.requests)
    assert sampled.field_order == ran.field_orders[0]
    assert sampled.prompt_tokens == ran.prompt_tokens
    assert sampled.data_hits == pytest.approx(report.predicted_data_hit_rate, abs=0.01)
    assert sampled.hits == pytest.approx(report.predicted_hit_rate, abs=0.01)


def test_it_asks_nothing_and_starts_no_engine(counting: SparkSession, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    reports = len(sparkllm.spark_session.last_reports(counting, 100))
    with configured(counting, {"spark.sparkllm.runtimeDir": str(tmp_path)}):
        _, sampled = only(sparkllm.explain("SELECT llm('classify', word) FROM words", counting))
    assert (sampled.rows, sampled.whole, sampled.calls) == (3000, True, 50)
    assert list(tmp_path.iterdir()) == []
    assert len(sparkllm.spark_session.last_reports(counting, 100)) == reports


def test_a_sample_reads_no_more_than_a_limit_would(counting: SparkSession) -> None:
    counting.range(0, 400_000, 1, 40).selectExpr("string(id) AS w").createOrReplaceTempView("many")
    tracker = counting.sparkContext.statusTracker()
    with jobs_started(counting, "one partition in 40") as started:
        call, sampled = only(sparkllm.explain("SELECT llm('classify', w) FROM many", counting, rows=500))
        jobs = [tracker.getJobInfo(job) for job in started()]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    assert (sampled.rows, sampled.whole, sampled.calls) == (500, False, 500)
    assert [stage.numTasks for stage in stages if stage] == [1]
    assert "more than 500; for the first 500" in str(QueryEstimate((call,)))


def test_rows_that_are_another_calls_answers_are_unknown(counting: SparkSession) -> None:
    sql = "SELECT llm('Is it short?', llm('classify', word)) FROM words"
    inner, outer = sparkllm.explain(sql, counting).calls
    assert inner.sampled is not None
    assert inner.sampled.calls == 50
    assert outer.sampled is None
    assert "by statistics; its rows were not read" in str(QueryEstimate((outer,)))


def test_filters_and_limits_below_a_call_count(counting: SparkSession) -> None:
    sql = "SELECT id, llm('classify', word) AS c FROM words"
    assert only(sparkllm.explain(f"SELECT * FROM ({sql}) WHERE id < 20 AND c = 'X'", counting))[1].calls == 20
    assert only(sparkllm.explain(f"{sql} LIMIT 5", counting))[1].rows == 5
    assert sparkllm.explain(f"SELECT id FROM ({sql})", counting).calls == ()


def test_rows_outside_a_guard_are_not_asked(counting: SparkSession) -> None:
    sql = "SELECT CASE WHEN id < 7 THEN llm('classify', word) END FROM words"
    _, sampled = only(sparkllm.explain(sql, counting))
    assert (sampled.rows, sampled.calls) == (3000, 7)


def test_a_limit_over_an_answer_says_that_it_stops_earlier(counting: SparkSession) -> None:
    sql = "SELECT id FROM words WHERE llm('classify', word) = 'X' LIMIT 3"
    estimate = sparkllm.explain(sql, counting)
    assert only(estimate)[1].calls == 50
    assert "50; fewer where the LIMIT is met earlier" in str(estimate)


def test_settings_count(counting: SparkSession) -> None:
    with configured(counting, {"spark.sparkllm.optimizer.dedup": "false"}):
        assert only(sparkllm.explain("SELECT llm('classify', word) FROM words", counting))[1].calls == 3000


def test_a_dataframe_is_explained_in_its_own_session(counting: SparkSession) -> None:
    frame = counting.sql("SELECT llm('classify', word, model => 'org/no-such-model') FROM words")
    call, sampled = only(sparkllm.explain(frame))
    assert call.model == "org/no-such-model"
    assert sampled.tokens_by.startswith("four bytes each")
    assert sampled.prompt_tokens > 50 * 10


def test_co_located_rows_are_sampled_below_the_shuffle(counting: SparkSession, tmp_path: Path) -> None:
    texts = counting.range(20_000).selectExpr("sha2(string(id % 9000), 512) AS a", "string(id % 10) AS b")
    texts.coalesce(1).write.parquet(str(tmp_path / "texts"))
    frame = counting.read.parquet(str(tmp_path / "texts")).selectExpr("llm('Is it random?', a, b)")
    assert "KeyedRows" in plan(frame)
    call, sampled = only(sparkllm.explain(frame))
    assert call.together
    assert (sampled.rows, sampled.whole, sampled.calls) == (10_000, False, 9000)
    assert sampled.field_order == ("b", "a")


def test_a_command_is_refused_and_does_not_run(counting: SparkSession, tmp_path: Path) -> None:
    sql = f"CREATE TABLE made USING parquet LOCATION '{tmp_path}/made' AS SELECT llm('classify', word) FROM words"
    with pytest.raises(AnalysisException, match="give it the command's SELECT"):
        sparkllm.explain(sql, counting)
    assert not counting.catalog.tableExists("made")


def test_a_query_without_calls_says_so(counting: SparkSession) -> None:
    assert str(sparkllm.explain("SELECT * FROM words", counting)) == "LLM estimate  the query asks no model"


def test_the_text_is_a_table_and_the_notebook_view_escapes() -> None:
    call = LLMCall(None, "Is it <b>bold</b>?", ("a", "b"))
    sampled = Sampled(100, True, ("b", "a"), 60, 1234, 0.5, 0.25, 0.28, 0.31, "the model's tokenizer")
    estimate = QueryEstimate(
        (CallEstimate(call, "demo", "by statistics of all rows", "at most 100", True, False, sampled),)
    )
    assert str(estimate).splitlines() == [
        "LLM estimate           no model was asked",
        "call                   llm('Is it <b>bold</b>?', a, b)",
        "  model                demo",
        "  field order          b, a",
        "  rows                 100",
        "  expected calls       60",
        "  prompt tokens        about 1,234 (the model's tokenizer)",
        "  prefix hits, data    about 25.0 % (from a cold cache)",
        "  prefix hits, prompt  about 50.0 % (from a cold cache)",
        "  whole fields shared  28.0 %, at most 31.0 % in any order",
        "  by statistics alone  at most 100",
    ]
    assert "&lt;b&gt;" in estimate._repr_html_()


def test_a_models_own_tokenizer_is_found_in_its_folder(tmp_path: Path) -> None:
    own = model_tokenizer("demo")
    assert own is not None
    [ids] = own.encode(["hello"])
    assert len(ids) > 1
    assert model_tokenizer(str(tmp_path)) is None
    (tmp_path / "config.json").write_text("{}")
    assert model_tokenizer(str(tmp_path)) is None


def test_a_chat_template_frames_each_prompt() -> None:
    pytest.importorskip("jinja2")
    framed, bare = model_tokenizer("demo"), model_tokenizer("demo", "{{ messages[0]['content'] }}")
    assert framed is not None
    assert bare is not None
    assert len(framed.opening("hello")) > len(bare.opening("hello"))


def test_rough_tokens_share_prefixes_as_texts_do() -> None:
    one, other = RoughTokenizer().encode(["the same beginning: one", "the same beginning: another"])
    assert len(one) == 6
    assert one[:5] == other[:5]
    assert one[5] != other[5]


def test_a_field_order_for_each_row_is_told_by_estimate_and_report(shop: SparkSession) -> None:
    query = "SELECT llm('Is it about the price?', review, product, order => 'rows+fields') FROM reviews WHERE id < 1040"
    [estimated] = sparkllm.explain(query, shop).calls
    assert estimated.sampled is not None
    assert 0 < estimated.sampled.shared <= estimated.sampled.most_shared
    shop.sql(query).collect()
    [call] = sparkllm.last_report(shop).calls
    assert (call.field_orders, estimated.sampled.field_order) == (((),), ())
    assert call.requests == estimated.sampled.calls
    assert "  field order            one for each row" in str(sparkllm.last_report(shop))


def test_the_report_tells_the_field_order_that_was_used(shop: SparkSession) -> None:
    shop.sql("SELECT llm('Is it about the price?', review, product) FROM reviews WHERE id < 1040").collect()
    [call] = sparkllm.last_report(shop).calls
    assert call.field_orders == (("product", "review"),)
    assert "  field order            product, review" in str(sparkllm.last_report(shop))
    raw = json.loads(sparkllm.spark_session.last_reports(shop, 1)[0])["calls"][0]
    assert raw["field_orders"] == ["1,0"]
