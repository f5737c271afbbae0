"""sparkllm.workload(): a query's prompts by tokens, told before it asks."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.answer_tokens import answer_tokens
from sparkllm.backend.placement import Bucket, Workload
from sparkllm.calls import LLMCall
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError
from sparkllm.model_tokenizer import model_tokenizer
from sparkllm.prompt_buckets import MOST, Measured, buckets
from sparkllm.prompt_sizes import Sizes, count
from sparkllm.spark_session import last_reports, register
from tests.optimizer.capitals import stand_in
from tests.optimizer.queries import jobs_started
from tests.settings import configured


@pytest.fixture(scope="module")
def counting(spark: SparkSession) -> SparkSession:
    """A session of its own whose stand-in would show in a report."""
    session = register(spark.newSession(), _function=stand_in())
    session.range(0, 3000, 1, 3).selectExpr("id", "string(id % 50) AS word").createOrReplaceTempView("words")
    texts = "repeat(string(1000 + id % 700), int(1 + id % 40)) AS text"
    session.range(0, 60_000, 1, 4).selectExpr("id", texts, "string(id % 3) AS kind").createOrReplaceTempView("texts")
    return session


def tokens(work: Workload) -> float:
    return sum(bucket.rows * bucket.input_tokens for bucket in work.buckets)


def test_the_workload_of_all_rows_is_what_the_run_then_reports(shop: SparkSession) -> None:
    query = "SELECT id, llm('classify', review) AS c FROM reviews"
    work = sparkllm.workload(query, shop)
    [sampled] = [call.sampled for call in sparkllm.explain(query, shop).calls]
    shop.sql(query).collect()
    [ran] = sparkllm.last_report(shop).calls
    assert work.rows == ran.requests
    assert tokens(work) == pytest.approx(ran.prompt_tokens)
    assert sum(b.rows * b.output_tokens for b in work.buckets) == pytest.approx(ran.output_tokens, rel=0.05)
    hits = sum(b.rows * b.input_tokens * b.prefix_hits for b in work.buckets)
    assert sampled is not None
    assert hits / tokens(work) == pytest.approx(sampled.hits)
    assert work.notes == ()


def test_the_name_of_the_placement_package_gives_the_same(shop: SparkSession) -> None:
    frame = shop.sql("SELECT llm('Is it about the price?', product, review) FROM reviews")
    assert Workload.from_dataframe(frame, output_tokens=3) == sparkllm.workload(frame, output_tokens=3)


def test_rows_behind_the_sample_are_counted_and_their_lengths_too(counting: SparkSession) -> None:
    query = "SELECT llm('classify', text, kind) FROM texts"
    whole = sparkllm.workload(query, counting, rows=60_000)
    part = sparkllm.workload(query, counting, rows=3000)
    assert part.rows == pytest.approx(whole.rows, rel=0.05)
    assert tokens(part) == pytest.approx(tokens(whole), rel=0.1)
    assert any("60,000 rows counted" in note for note in part.notes)
    assert whole.notes == ()


def test_rows_longer_than_any_that_was_looked_at_have_a_bucket_with_more_tokens(counting: SparkSession) -> None:
    grown = "repeat('word ', int(4 + id / 50)) AS w"
    counting.range(0, 20_000, 1, 1).selectExpr(grown).createOrReplaceTempView("grown")
    query = "SELECT llm('classify', w) FROM grown"
    whole = sparkllm.workload(query, counting, rows=20_000)
    first = sparkllm.workload(query, counting, rows=1000)
    assert max(b.input_tokens for b in first.buckets) > 300
    assert tokens(first) == pytest.approx(tokens(whole), rel=0.15)


def test_it_asks_nothing_and_starts_no_engine(counting: SparkSession, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    reports = len(last_reports(counting, 100))
    with configured(counting, {"spark.sparkllm.runtimeDir": str(tmp_path)}):
        work = sparkllm.workload("SELECT llm('classify', word) FROM words", counting, rows=100)
    assert work.rows == pytest.approx(150, rel=0.05), "three tasks, each of which meets all fifty words"
    assert list(tmp_path.iterdir()) == []
    assert len(last_reports(counting, 100)) == reports


def test_a_table_that_fits_the_sample_is_read_once(counting: SparkSession) -> None:
    with jobs_started(counting, "the sample alone") as started:
        sparkllm.workload("SELECT llm('classify', word) FROM words WHERE id < 20", counting)
        small = len(started())
    with jobs_started(counting, "sample and count") as started:
        sparkllm.workload("SELECT llm('classify', word) FROM words", counting, rows=10)
        large = len(started())
    assert small < large


def test_spark_tells_a_rows_bucket_by_the_bytes_of_its_fields(counting: SparkSession) -> None:
    """Bytes, not characters; null has none, and rows without any text are not asked."""
    rows = [("aé", None), ("aé", "x" * 100), (None, "é" * 50), (None, None), ("aé", None)]
    found = count(counting.createDataFrame(rows, "f0 string, f1 string"))
    assert found.most.tolist() == [3, 103]
    assert (found.rows.tolist(), found.distinct.tolist()) == ([2, 2], [1, 2])


def test_equal_prompts_are_one_only_where_they_are_asked_once(counting: SparkSession) -> None:
    query = "SELECT llm('classify', word) FROM words"
    for rows in (100, 10_000):
        with configured(counting, {"spark.sparkllm.optimizer.dedup": "false"}):
            assert sparkllm.workload(query, counting, rows=rows).rows == 3000


def test_null_in_different_fields_makes_different_prompts(counting: SparkSession) -> None:
    counting.createDataFrame([("a", None), (None, "a")] * 20, "x string, y string").coalesce(1).createOrReplaceTempView(
        "pairs"
    )
    assert sparkllm.workload("SELECT llm('classify', x, y) FROM pairs", counting, rows=5).rows == 2


def test_a_call_over_anothers_answers_has_the_rows_of_the_plan_or_of_the_call_below(
    counting: SparkSession, tmp_path: Path
) -> None:
    counting.table("words").coalesce(1).write.parquet(str(tmp_path / "words"))
    counting.read.parquet(str(tmp_path / "words")).createOrReplaceTempView("file")
    for table, rows, said in (("words", 3000, "3,000 prompts by statistics"), ("file", 50, "as the call below has")):
        work = sparkllm.workload(f"SELECT llm('Is it short?', llm('classify', word)) FROM {table}", counting)
        outer = [b for b in work.buckets if b.call.startswith("llm('Is it short?'")]
        assert [b.rows for b in outer] == [rows]
        assert any("stands over other answers" in note and said in note for note in work.notes)


def test_calls_beside_each_other_are_each_sampled(counting: SparkSession) -> None:
    query = "SELECT llm('classify', word), llm('Is it short?', word, id) FROM words"
    first, second = sparkllm.explain(query, counting).calls
    assert first.sampled is not None
    assert second.sampled is not None
    assert {first.sampled.calls, second.sampled.calls} == {50, 3000}
    assert sparkllm.workload(query, counting).rows == 3050


def test_a_filter_over_another_answer_keeps_the_share_that_the_optimizer_expects(counting: SparkSession) -> None:
    query = (
        "SELECT llm('Why is it so?', word) FROM words "
        "WHERE llm('Is it spam?', word, selectivity => 0.1) = 'yes' AND id < 1000"
    )
    work = sparkllm.workload(query, counting)
    rows = {call: sum(b.rows for b in work.buckets if b.call == call) for call in {b.call for b in work.buckets}}
    assert sorted(rows.values()) == [pytest.approx(5), 50]
    assert any("leave 10 % of its rows" in note for note in work.notes)
    assert "filters over other answers leave about 10 % of them" in str(sparkllm.explain(query, counting))


def test_a_constant_call_is_one_prompt(counting: SparkSession) -> None:
    [bucket] = sparkllm.workload("SELECT llm('Write a greeting.') FROM words", counting).buckets
    assert (bucket.rows, bucket.most_bytes) == (1, inf)


def test_a_query_without_calls_or_rows_is_refused(counting: SparkSession) -> None:
    with pytest.raises(ConfigError, match="asks no model"):
        sparkllm.workload("SELECT * FROM words", counting)
    with pytest.raises(ConfigError, match="no rows"):
        sparkllm.workload("SELECT llm('classify', word) FROM words WHERE id < 0", counting)


def test_an_assumed_length_of_answers_is_said_and_a_given_one_taken(counting: SparkSession) -> None:
    query = "SELECT llm('Is it short?', word) FROM words"
    assumed, given = sparkllm.workload(query, counting), sparkllm.workload(query, counting, output_tokens=7)
    assert {b.output_tokens for b in assumed.buckets} == {64}
    assert ["answers of 64 tokens assumed" in note for note in assumed.notes] == [True]
    assert ({b.output_tokens for b in given.buckets}, given.notes) == ({7}, ())


def test_labels_and_typed_answers_without_texts_are_counted() -> None:
    tokenizer, config = model_tokenizer("demo"), LLMConfig()
    assert tokenizer is not None
    assert answer_tokens(LLMCall("classify", None, ("a",)), tokenizer, config, 99.0)[0] < 4

    def field(name: str, kind: str) -> dict[str, object]:
        return {"name": name, "type": kind, "nullable": True, "metadata": {}}

    closed, opened = ([field("age", "integer")], [field("age", "integer"), field("name", "string")])
    schemas = [json.dumps({"type": "struct", "fields": fields}) for fields in (closed, opened)]
    calls = [LLMCall(None, "Who is it?", ("a",), schema=schema) for schema in schemas]
    found = [answer_tokens(call, tokenizer, config) for call in calls]
    assert 1 < found[0][0] < 30
    assert found[0][1] == ""
    assert found[1][0] == 64
    assert "assumed" in found[1][1]


def test_a_label_of_an_endpoint_is_counted_with_the_object_that_it_comes_in(counting: SparkSession) -> None:
    tokenizer = model_tokenizer("demo")
    assert tokenizer is not None
    whole = ['{"answer": "spam"}', '{"answer": "no \\"spam\\""}']
    call = LLMCall(None, "Is it spam?", ("a",), labels=("spam", 'no "spam"'))
    tokens, assumed = answer_tokens(call, tokenizer, LLMConfig(), endpoint=True)
    nothing, *found = (len(ids) for ids in tokenizer.encode(["", *whole]))
    assert tokens == sum(found) / 2 - nothing + 1
    assert '{"answer": "spam"}' in assumed
    own, theirs = (
        sparkllm.explain(f"SELECT llm('Is it spam?', word, labels => array('spam', 'ham'){model}) FROM words", counting)
        for model in ("", ", model => 'openai:m'")
    )
    assert theirs.total("output_tokens") >= own.total("output_tokens") + 3 * 50
    assert 'labels come as {"answer": "spam"}' in str(theirs)


def test_buckets_are_at_most_twelve_and_hold_all_prompts() -> None:
    sizes = Sizes.of(np.random.default_rng(0).lognormal(6, 2, 5000).astype(np.int64))
    sample = Measured(np.array([10.0, 1000.0]), np.array([30.0, 270.0]), np.array([16.0, 16.0]))
    found = buckets("c", sizes, sample, 5)
    assert 6 <= len(found) <= MOST
    assert sum(b.rows for b in found) == pytest.approx(5000)
    edges = [b.most_bytes for b in found]
    assert edges == sorted(edges)
    assert edges[-1] == inf
    assert [b.input_tokens for b in found] == sorted(b.input_tokens for b in found)


def test_bytes_that_say_nothing_of_tokens_leave_the_mean() -> None:
    sample = Measured(np.array([10.0, 10.0]), np.array([30.0, 34.0]), np.array([0.0, 16.0]))
    [bucket] = buckets("c", Sizes.of(np.array([10, 10, 10])), sample, 5)
    assert bucket == Bucket(32.0, 5, 3.0, 0.25, "c", inf)
