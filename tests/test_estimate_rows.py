"""sparkllm.explain(): how many rows and prompts it takes a call to have, of what the plan's statistics know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.errors import ConfigError
from sparkllm.query_estimate import CallTotal, QueryEstimate
from sparkllm.spark_session import register
from tests.optimizer.capitals import stand_in
from tests.settings import configured

SAMPLED = {"spark.sparkllm.temperature": "0.7"}


@pytest.fixture(scope="module")
def counting(spark: SparkSession) -> SparkSession:
    """A session of its own whose stand-in would show in a report."""
    return register(spark.newSession(), _function=stand_in())


@pytest.fixture(scope="module")
def cities(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Another session, with 20,000 rows of 700 cities, each with a number of its own, as ANALYZE has counted them."""
    folder = tmp_path_factory.mktemp("cities") / "rows"
    counting = register(spark.newSession(), _function=stand_in())
    counting.range(0, 20_000, 1, 1).selectExpr("string(id % 700) AS city", "id").write.parquet(str(folder))
    counting.sql(f"CREATE TABLE estimated_cities USING parquet LOCATION '{folder}'")
    counting.sql("ANALYZE TABLE estimated_cities COMPUTE STATISTICS FOR ALL COLUMNS")
    with configured(counting, {"spark.sql.cbo.enabled": "true"}):
        yield counting
    counting.sql("DROP TABLE estimated_cities")


def only(estimate: QueryEstimate) -> CallTotal:
    [call] = estimate.calls
    assert call.total is not None
    return call.total


@pytest.mark.parametrize(
    ("source", "most"),
    [
        ("range(3000) AS a JOIN range(1000) AS b ON a.id = b.id", "3,000,000"),
        ("range(50000) AS a WHERE id % 10 = 0", "50,000"),
        ("range(50000) AS a LEFT SEMI JOIN range(1000) AS b ON a.id = b.id", "50,000"),
        ("(SELECT * FROM file LIMIT 1000000) AS a", "1,000,000"),
    ],
)
def test_a_bound_is_no_number_of_rows(counting: SparkSession, tmp_path: Path, source: str, most: str) -> None:
    counting.range(0, 2000, 1, 1).write.parquet(str(tmp_path / "file"))
    counting.read.parquet(str(tmp_path / "file")).createOrReplaceTempView("file")
    estimate = sparkllm.explain(f"SELECT llm('classify', string(a.id)) FROM {source}", counting, rows=500)
    assert (only(estimate).rows, only(estimate).calls) == (None, 500)
    assert f"  rows                 more than 500, at most {most}; for the first 500" in str(estimate)


def test_prompts_that_statistics_know_are_the_calls(cities: SparkSession) -> None:
    query = "SELECT llm('classify', city) FROM estimated_cities"
    total = only(sparkllm.explain(query, cities, rows=500))
    assert total.rows == 20_000
    assert total.calls == pytest.approx(700, rel=0.1), "Spark's own distinct count is an estimate"
    [call] = sparkllm.explain(query, cities, rows=500).calls
    assert call.expected == f"{total.calls:,.0f}"


def test_a_condition_that_spark_cannot_judge_leaves_a_bound(cities: SparkSession) -> None:
    query = "SELECT llm('classify', string(id)) FROM estimated_cities WHERE {}"
    found = [sparkllm.explain(query.format(where), cities, rows=500) for where in ("id % 10 = 0", "id < 10000")]
    assert [only(one).rows for one in found] == [None, pytest.approx(10_000, rel=0.05)]
    assert "more than 500, at most 20,000; for the first 500" in str(found[0])


def test_statistics_older_than_the_rows_take_no_prompt_away(cities: SparkSession, tmp_path: Path) -> None:
    rows = cities.range(0, 3000, 1, 1)
    rows.selectExpr("string(id % 5) AS word").write.parquet(str(tmp_path / "words"))
    cities.sql(f"CREATE TABLE estimated_words USING parquet LOCATION '{tmp_path / 'words'}'")
    try:
        cities.sql("ANALYZE TABLE estimated_words COMPUTE STATISTICS FOR ALL COLUMNS")
        rows.selectExpr("string(id) AS word").write.mode("overwrite").parquet(str(tmp_path / "words"))
        cities.sql("REFRESH TABLE estimated_words")
        query = "SELECT llm('classify', word) FROM estimated_words"
        total = only(sparkllm.explain(query, cities, rows=500))
        assert (total.rows, total.calls) == (3000, 500)
    finally:
        cities.sql("DROP TABLE estimated_words")


def test_rows_below_a_filter_over_an_answer_are_the_tables(counting: SparkSession) -> None:
    query = "SELECT llm('Why?', string(id)) FROM range(60000) WHERE llm('Is it?', string(id), selectivity => 0.1) = 'y'"
    _, outer = sparkllm.explain(query, counting, rows=500).calls
    assert outer.total is not None
    assert (outer.total.rows, outer.total.calls) == (60_000, pytest.approx(6000))


def test_a_bound_is_no_number_of_prompts_over_another_answer(counting: SparkSession) -> None:
    query = "SELECT llm('Is it short?', llm('classify', string(id % 9))) FROM range(60000) WHERE id % 1000 = 0"
    [outer] = [call for call in sparkllm.explain(query, counting).calls if call.sampled is None]
    assert outer.total is not None
    assert outer.total.calls == 9, "as many as the call below"


def test_a_sampled_answer_without_fields_is_asked_for_in_each_row(counting: SparkSession) -> None:
    query = "SELECT llm('Invent a customer name') FROM range(100000)"
    for settings in (SAMPLED, {"spark.sparkllm.optimizer.dedup": "false"}):
        with configured(counting, settings):
            assert only(sparkllm.explain(query, counting)).calls == 100_000
            assert sparkllm.workload(query, counting).rows == 100_000


def test_a_constant_call_is_asked_once_by_each_task(counting: SparkSession) -> None:
    estimate = sparkllm.explain("SELECT llm('Say hello') FROM range(100000)", counting)
    assert (only(estimate).calls, only(estimate).exact) == (1, False)
    assert "expected calls 1 per task" in " ".join(str(estimate).split())
    notes = sparkllm.workload("SELECT llm('Say hello') FROM range(9)", counting).notes
    assert any("each task asks it again" in note for note in notes)


def test_sampled_answers_of_rows_that_nobody_has_counted_are_not_guessed(counting: SparkSession) -> None:
    query = "SELECT llm('Invent a name') FROM range(100000) WHERE id % 7 = 0"
    with configured(counting, SAMPLED):
        assert "1 calls whose rows nobody knows" in str(sparkllm.explain(query, counting))
        with pytest.raises(ConfigError, match="nobody knows how many rows"):
            sparkllm.workload(query, counting)


def scanned(session: SparkSession, folder: Path, *columns: str) -> QueryEstimate:
    """A scan of 30,000 rows, of which 2,000 are looked at, and which CoLocate brings together."""
    plain = {"compression": "none", "parquet.enable.dictionary": "false"}  # as large as the rows are
    session.range(0, 30_000, 1, 3).selectExpr(*columns).write.options(**plain).parquet(str(folder))
    fields = ", ".join("ab"[: len(columns)])
    estimate = sparkllm.explain(
        session.read.parquet(str(folder)).selectExpr(f"llm('Is it random?', {fields})"), rows=2000, scan=True
    )
    assert estimate.calls[0].together
    return estimate


def test_a_scan_of_few_values_counts_and_sees_all_of_them(counting: SparkSession, tmp_path: Path) -> None:
    """Pieces of the order would be of the same few values, or of none."""
    lengths = "CASE WHEN id % 1000 = 0 THEN 1 ELSE 2 + id % 4 END"
    estimate = scanned(counting, tmp_path / "few", f"repeat(sha2(string({lengths}), 512), int({lengths})) AS a")
    [call], total = estimate.calls, only(estimate)
    assert (total.rows, total.calls, total.exact) == (30_000, 5, True)
    assert call.sampled is not None
    assert call.sampled.calls == 5
    assert total.prompt_tokens == call.sampled.prompt_tokens


def test_a_scan_of_rows_that_are_each_asked_sees_them_by_their_share(counting: SparkSession, tmp_path: Path) -> None:
    """Spark's ranges would be as large as the four values, and the eighth part of a hundred is none of them."""
    text = "repeat(sha2(string(id % 4), 512), int(1 + 2 * (id % 4))) AS a"
    with configured(counting, SAMPLED):
        part = scanned(counting, tmp_path / "skewed", text)
        frame = counting.read.parquet(str(tmp_path / "skewed")).selectExpr("llm('Is it random?', a)")
        whole = sparkllm.explain(frame, rows=30_000)
    assert only(part).calls == only(whole).calls == 30_000
    assert only(part).prompt_tokens == pytest.approx(only(whole).prompt_tokens, rel=0.02)
    assert part.prefix_hit_rate == pytest.approx(whole.prefix_hit_rate, abs=0.05)


def test_rows_without_a_text_take_no_place_in_a_scan(counting: SparkSession, tmp_path: Path) -> None:
    texts = "if(id < 20000, null, repeat(sha2(string(id % 5000), 512), 4)) AS a", "if(id < 20000, null, id % 3) AS b"
    estimate = scanned(counting, tmp_path / "empty", *texts)
    assert (only(estimate).calls, only(estimate).rows) == (10_000, 10_000)
    assert estimate.calls[0].sampled is not None
    assert estimate.calls[0].sampled.calls > 1800


def test_first_rows_without_a_text_are_passed_over_where_all_rows_are_counted(counting: SparkSession) -> None:
    rows = counting.range(0, 3000, 1, 1).selectExpr("if(id < 2000, null, string(id % 50)) AS word").coalesce(1)
    frame = rows.selectExpr("llm('classify', word)")
    assert sparkllm.workload(frame, rows=100).rows == pytest.approx(50, rel=0.05)
    assert only(sparkllm.explain(frame, rows=100, scan=True)).calls == 50
    unread = sparkllm.explain(frame, rows=100)
    assert (only(unread).calls, only(unread).rows) == (0, None)
    assert "these are the rows that were read; scan=True counts all" in str(unread)
