"""sparkllm.explain(): what a query will ask, told before it asks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.calibration import Speed
from sparkllm.calls import LLMCall
from sparkllm.command_line import main
from sparkllm.errors import ConfigError
from sparkllm.gpu_estimate import GPUEstimate
from sparkllm.model_tokenizer import RoughTokenizer, model_tokenizer
from sparkllm.query_estimate import CallEstimate, CallTotal, QueryEstimate, Sampled
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
    assert "  rows                 400,000, by statistics; 500 of them were looked at" in str(QueryEstimate((call,)))
    assert "  expected calls       about 400,000" in str(QueryEstimate((call,)))


def test_rows_that_nobody_has_counted_are_those_of_the_sample(counting: SparkSession, tmp_path: Path) -> None:
    counting.range(2000).selectExpr("string(id) AS w").write.parquet(str(tmp_path / "some"))
    estimate = sparkllm.explain(
        counting.read.parquet(str(tmp_path / "some")).selectExpr("llm('classify', w)"), rows=500
    )
    assert estimate.total("calls") == 500
    assert "more than 500; for the first 500" in str(estimate)
    assert "scan=True counts all" in str(estimate)


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


def test_a_filter_that_is_expected_to_keep_nothing_leaves_no_calls(counting: SparkSession) -> None:
    negative = "llm('classify', word) = 'Negative'"  # no label: the label is `negative`
    estimate = sparkllm.explain(f"SELECT llm('What is it about?', word) FROM words WHERE {negative}", counting)
    kept, asked = (call.total for call in estimate.calls)
    assert kept is not None
    assert asked is not None
    assert sorted((kept.calls, asked.calls)) == [0, 50]
    assert "  expected calls       about 0; filters over other answers are expected to leave none" in str(estimate)


def test_a_sample_of_no_rows_is_refused(counting: SparkSession) -> None:
    for rows in (0, -1):
        with pytest.raises(ConfigError, match=f"rows of 1 or more, got {rows}"):
            sparkllm.explain("SELECT llm('classify', string(id)) FROM range(50)", counting, rows=rows)
        with pytest.raises(ConfigError, match=f"rows of 1 or more, got {rows}"):
            sparkllm.workload("SELECT llm('classify', string(id)) FROM range(50)", counting, rows=rows)


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
    total = CallTotal(100, 60, True, 1234, 617, 120, "", Speed(0.1, 0.01, 0.5, 2.0, 40, 0.07))
    one = CallEstimate(call, "demo", "by statistics of all rows", "at most 100", True, False, sampled, total=total)
    gpus = {"demo": (GPUEstimate("L4", 0.5, 0.0001125, False), GPUEstimate("2xH100", 75.0, 1.5, True))}
    estimate = QueryEstimate((one,), gpus, ("no such model",), 36.0)
    assert str(estimate).splitlines() == [
        "LLM estimate           a sample was asked, now or earlier",
        "call                   llm('Is it <b>bold</b>?', a, b)",
        "  model                demo",
        "  field order          b, a",
        "  rows                 100",
        "  expected calls       60",
        "  prompt tokens        1,234 (the model's tokenizer)",
        "  output tokens        about 120",
        "  prefix hits, data    about 25.0 % (from a cold cache)",
        "  prefix hits, prompt  about 50.0 % (from a cold cache)",
        "  whole fields shared  28.0 %, at most 31.0 % in any order",
        "  by statistics alone  at most 100",
        "query                  60 calls, 1,234 prompt tokens (50.0 % from the cache), 120 output tokens",
        "seconds here           about 12.7 s, 0.13 by costPerHour (measured on 40 prompts, parts of which were up to "
        "7 % off; the engine's start not counted)",
        "by GPU type            demo, one replica; its start not counted, prices are list prices",
        "  on L4                about 500 ms, $0.00011, from the data sheet alone",
        "  on 2xH100            about 1.2 min, $1.50",
        "by GPU type            no such model",
    ]
    seconds = total.seconds
    assert seconds is not None
    far = replace(one, model="openai:m")
    assert replace(estimate, calls=(one, far)).engine_seconds == pytest.approx(0.5 + seconds)
    assert "costPerHour" not in str(replace(estimate, calls=(far,))), "an endpoint's time is no engine's"
    assert "&lt;b&gt;" in estimate._repr_html_()
    assert "$1.50" in estimate._repr_html_()


def test_a_scan_counts_all_rows_exactly_and_looks_at_their_order(counting: SparkSession, tmp_path: Path) -> None:
    """Rows come in no order that shares anything; in the order of the tasks every group of ten shares a long field."""
    fields = "repeat(sha2(string(id % 3001), 512), 2) AS a", "string(id % 12007) AS b"
    counting.range(0, 30_000, 1, 3).selectExpr(*fields).write.parquet(str(tmp_path / "texts"))
    frame = counting.read.parquet(str(tmp_path / "texts")).selectExpr("llm('Is it random?', a, b)")
    first, scanned, again = (sparkllm.explain(frame, rows=2000, scan=scan) for scan in (False, True, True))
    whole = sparkllm.explain(frame, rows=30_000)
    [total], [known] = [c.total for c in scanned.calls], [c.total for c in whole.calls]
    assert total is not None
    assert known is not None
    assert (total.calls, total.exact, total.rows) == (30_000, True, 30_000)
    assert total.prompt_tokens == pytest.approx(known.prompt_tokens, rel=0.05)
    assert scanned.prefix_hit_rate == pytest.approx(whole.prefix_hit_rate, abs=0.03)
    assert first.prefix_hit_rate < whole.prefix_hit_rate - 0.1
    assert "  rows                 30,000, counted; " in str(scanned)
    assert again.prefix_hit_rate == pytest.approx(scanned.prefix_hit_rate, abs=0.03), "of other pieces of the order"
    assert again.total("calls") == 30_000
    assert "scan=True counts all" in str(first)
    assert "scan=True" not in str(scanned)


def test_a_scan_counts_equal_prompts_of_different_tasks_apart(counting: SparkSession) -> None:
    query = "SELECT llm('classify', word) FROM words"
    estimate = sparkllm.explain(query, counting, scan=True)
    assert estimate.total("calls") == 150, "three tasks, each of which meets all fifty words"
    assert "asked again" not in str(estimate)
    assert sparkllm.explain(query, counting).total("calls") == 50


def test_statistics_that_promise_more_rows_scale_the_sample(counting: SparkSession) -> None:
    def about(distinct: str, rows: int = 2000) -> tuple[float, str]:
        frame = counting.range(0, 60_000, 1, 1).selectExpr(f"llm('classify', string({distinct})) AS c")
        estimate = sparkllm.explain(frame, rows=rows)
        return estimate.total("calls"), str(estimate)

    assert about("id")[0] == pytest.approx(60_000)
    assert about("id % 50")[0] == pytest.approx(50)
    calls, shown = about("int(sqrt(id))")
    assert calls == pytest.approx(245, rel=0.15), "as many as there are square numbers"
    assert "60,000, by statistics; 2,000 of them were looked at" in shown
    assert f"  expected calls       about {calls:,.0f}" in shown


def test_the_length_of_a_text_is_said_to_be_assumed_or_given(counting: SparkSession) -> None:
    query = "SELECT llm('Say more.', word) FROM words"
    assert sparkllm.explain(query, counting).total("output_tokens") == 50 * 64
    assert "answers of 64 tokens assumed" in str(sparkllm.explain(query, counting))
    given = sparkllm.explain(query, counting, output_tokens=10)
    assert given.total("output_tokens") == 500
    assert "assumed" not in str(given)


def test_gpu_types_have_seconds_and_dollars_and_a_catalogue_of_ones_own(counting: SparkSession, tmp_path: Path) -> None:
    query = "SELECT llm('classify', word), llm('Is it short?', word, model => 'org/no-such-model') FROM words"
    estimate = sparkllm.explain(query, counting)
    assert estimate.gpus is not None
    assert list(estimate.gpus) == ["demo"]
    assert "the config.json of org/no-such-model is not on this machine" in str(estimate)
    price = 'price = { usd_per_hour = 81.0, source = "dear", date = "2026-11-01" }'
    (tmp_path / "own.toml").write_text(f"[gpu.L4]\n{price}\n")
    dear = sparkllm.explain(query, counting, catalog=tmp_path / "own.toml")
    assert dear.gpus is not None
    before, after = ({one.replica: one.usd for one in found.gpus["demo"]} for found in (estimate, dear))  # type: ignore
    assert after["L4"] == pytest.approx(100 * before["L4"])
    assert after["T4"] == before["T4"]


def test_the_command_takes_the_same_options(
    counting: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prices.toml").write_text('["m"]\ninput = 1000000\noutput = 0\n')
    (tmp_path / "r.csv").write_text("review\n" + "\n".join(f"review {i % 7}" for i in range(20)))
    query = "SELECT llm('Say it again.', review, model => 'openai:m') FROM r"
    options = ["--scan", "--output-tokens", "10", "--prices", str(tmp_path / "prices.toml")]
    assert main(["explain", query, "--table", f"r={tmp_path}/r.csv", *options]) == 0
    shown = capsys.readouterr().out
    assert "  expected calls       7" in shown
    assert "  output tokens        about 70" in shown
    assert "$ 1,000,000 input, 0 output per million tokens; your own price" in shown


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
