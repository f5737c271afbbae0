"""An endpoint from SQL: labels, counts, one row's error, what ends a query, and the key in no file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.launch import end
from sparkllm.backend.sweep import engines
from tests.backend.endpoint.misbehaving import Misbehaving, by_review, misbehaving, refused
from tests.settings import configured

KEY = "sk-CanaryOfTheEndpoint"
LABELS = by_review({"love": "positive", "broke": "negative", "lamp": "neutral"})
ROWS = [(1, "I love it"), (2, "It broke"), (3, "I love it"), (4, None), (5, "It is a lamp")]
CLASSIFY = "SELECT id, llm('classify', review) AS label FROM few ORDER BY id"
RIGHT = ["positive", "negative", "positive", None, "neutral"]


@pytest.fixture(scope="module")
def endpoint(spark: SparkSession, runtime_dir: str) -> Iterator[Misbehaving]:
    spark.createDataFrame(ROWS, "id INT, review STRING").coalesce(1).createOrReplaceTempView("few")
    with misbehaving() as one:
        yield one
    for folder in engines(Path(runtime_dir)):
        if folder.spec.engine == "openai":
            end(folder)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "key"
    path.write_text(f"{KEY}\n")
    return path


@pytest.fixture
def server(spark: SparkSession, endpoint: Misbehaving, key_file: Path, tmp_path: Path) -> Iterator[Misbehaving]:
    """A session that asks it, with a ledger of each test's own."""
    endpoint.bodies, endpoint.headers = [], []
    settings = {
        "spark.sparkllm.model": "openai:some/model",
        "spark.sparkllm.baseUrl": endpoint.url,
        "spark.sparkllm.apiKeyFile": str(key_file),
        "spark.sparkllm.ledger": str(tmp_path / "ledger"),
    }
    with configured(spark, settings):
        yield endpoint


def test_an_endpoint_answers_as_the_sessions_model_and_its_counts_are_reported(
    spark: SparkSession, server: Misbehaving
) -> None:
    server.turns = [LABELS]
    assert [row.label for row in spark.sql(CLASSIFY).collect()] == RIGHT
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in server.headers)
    assert {body["model"] for body in server.bodies} == {"some/model"}
    report = sparkllm.last_report(spark)
    found = {name: report.total(name) for name in ("requests", "prompt_tokens", "cached_tokens", "output_tokens")}
    assert found == {"requests": 3, "prompt_tokens": 120, "cached_tokens": 96, "output_tokens": 21}
    assert [row.label for row in spark.sql(CLASSIFY).collect()] == RIGHT
    assert len(server.bodies) == 3, "the ledger has them"


def test_an_endpoint_answers_one_call_beside_other_models(spark: SparkSession, server: Misbehaving) -> None:
    server.turns = [LABELS]
    with configured(spark, {"spark.sparkllm.model": "demo"}):
        query = CLASSIFY.replace("review)", "review, model => 'openai:other')")
        assert [row.label for row in spark.sql(query).collect()] == RIGHT
        assert {body["model"] for body in server.bodies} == {"other"}
        assert "openai:other" in spark.sql(f"EXPLAIN {query}").collect()[0][0]


def test_a_row_that_the_server_refuses_is_null_with_its_reason(spark: SparkSession, server: Misbehaving) -> None:
    server.turns = [lambda body: (refused(400, "flagged") if "broke" in str(body) else LABELS)(body)]
    query = CLASSIFY.replace("review)", "review, on_error => 'struct')")
    answers = {row.id: row.label for row in spark.sql(query).collect()}
    assert {number: answer.value for number, answer in answers.items()} == dict(enumerate(RIGHT, 1)) | {2: None}
    assert answers[2].error.startswith("engine_error: the server refuses the request: 400")
    assert answers[2].error.endswith("flagged")


def test_a_key_that_is_refused_is_one_error_and_what_was_answered_is_kept(
    spark: SparkSession, server: Misbehaving
) -> None:
    server.turns = [LABELS, refused(401, f"no such key: {KEY}")]
    with (
        configured(spark, {"spark.sparkllm.endpointConcurrency": "1"}),
        pytest.raises(PythonException, match=r"EndpointError.*does not take the API key \(401\).*apiKeyFile") as caught,
    ):
        spark.sql(CLASSIFY).collect()
    assert KEY not in str(caught.value)
    assert len(server.bodies) == 2, "no other row was tried"
    server.turns = [LABELS]
    assert [row.label for row in spark.sql(CLASSIFY).collect()] == RIGHT
    assert len(server.bodies) == 4, "the first answer was kept"


def test_the_pages_example_runs_as_it_stands_but_for_the_address(
    spark: SparkSession, server: Misbehaving, capsys: pytest.CaptureFixture[str]
) -> None:
    server.turns = [LABELS]
    spark.table("few").createOrReplaceTempView("reviews")
    page = (Path(__file__).parents[1] / "docs" / "endpoints.md").read_text(encoding="utf-8")
    [example] = [text for text in re.findall(r"```\w+\n(.*?)```", page, flags=re.S) if "'openai:" in text]
    address = "http://gateway:8000/v1"
    assert address in example
    with configured(spark, {"spark.sparkllm.model": "demo"}):
        exec(compile(example.replace(address, server.url), "endpoints.md", "exec"), {"spark": spark})
    shown = capsys.readouterr().out
    assert [shown.count(label) for label in ("positive", "negative", "neutral")] == [2, 1, 1]


def test_what_is_estimated_for_an_endpoint_asks_nobody(spark: SparkSession, server: Misbehaving) -> None:
    shown = str(sparkllm.explain(CLASSIFY, spark))
    assert "the demo model's tokenizer, the endpoint has one of its own" in shown
    assert server.bodies == []


def test_the_report_names_the_endpoint_and_what_its_tokens_cost(spark: SparkSession, server: Misbehaving) -> None:
    server.turns = [LABELS]
    prices = '{"some/model": {"input": 1.0, "cached_input": 0.25, "output": 10.0}}'
    with configured(spark, {"spark.sparkllm.endpointPrices": prices}):
        spark.sql(CLASSIFY).collect()
        report = sparkllm.last_report(spark)
    assert report.cost is not None
    assert (report.cost.engine_seconds, report.cost.engines) == (0.0, None), "the time is the server's"
    assert report.cost.usd == pytest.approx((24 * 1.0 + 96 * 0.25 + 21 * 10.0) / 1e6)
    assert report.calls[0].model == "openai:some/model"
    assert "requests sent to the endpoint" in str(report)
    assert "vLLM" not in str(report)
    assert "cost" in str(report)
    assert "$0.000258" in str(report)
    without = sparkllm.last_report(spark)
    assert without.cost is not None
    assert (without.cost.usd, without.cost.unpriced) == (None, ("openai:some/model",))
    assert "set spark.sparkllm.endpointPrices" in str(without)


def test_an_estimate_has_the_dollars_of_an_endpoint_with_and_without_its_cache(
    spark: SparkSession, server: Misbehaving
) -> None:
    prices = {"some/model": {"input": 1.0, "cached_input": 0.25, "output": 10.0}}
    estimate = sparkllm.explain(CLASSIFY, spark, prices=prices)
    [total] = [call.total for call in estimate.calls]
    assert total is not None
    assert total.usd is not None
    dear, cheap = total.usd
    assert dear == pytest.approx((total.prompt_tokens + 10 * total.output_tokens) / 1e6)
    assert cheap == pytest.approx(dear - 0.75 * total.cached_tokens / 1e6)
    assert "at the endpoint" in str(estimate)
    assert "by GPU type" not in str(estimate)
    assert "nobody has said: give prices=" in str(sparkllm.explain(CLASSIFY, spark))
    assert server.bodies == []


def test_no_file_holds_the_endpoints_key(
    spark: SparkSession, server: Misbehaving, runtime_dir: str, tmp_path: Path
) -> None:
    server.turns = [LABELS]
    spark.sql(f"EXPLAIN EXTENDED {CLASSIFY}").collect()
    spark.sql(CLASSIFY).collect()
    events = Path(str(spark.conf.get("spark.eventLog.dir")).removeprefix("file://"))
    files = [path for folder in (Path(runtime_dir), events, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert {"spec.json", "state.json", "events.log"} <= {path.name for path in files}
    assert any("ledger" in str(path) for path in files)
    assert any(events in path.parents for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
