"""Where else a call may stand: views, caches, commands, and with adaptive execution off. Right, or clearly refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sparkllm.spark_session import register
from tests.optimizer.capitals import stand_in
from tests.optimizer.cases import read_cases
from tests.optimizer.queries import counted, in_order, rows_asked, run
from tests.settings import configured

WITHOUT_ADAPTIVE = (
    "GROUP BY and SELECT share one evaluation",
    "EXISTS asks once for each row of its table",
    "IN over a subquery that asks runs before a call below it",
    "a CTE used twice asks once",
    "a self-join of two identical subqueries asks once",
    "identical subqueries with a cascade ask once for each of its calls",
    "equal branches of a UNION ALL ask once",
    "two equal scalar subqueries ask once",
    "a call over one side of an outer join's condition runs on that side",
    "a global sort by the answer does not ask twice",
    "top-k by the answer with OFFSET does not ask twice",
    "the first row of each window is chosen before the call",
    "two calls in a WHERE cascade",
)


@pytest.fixture(scope="module")
def kept(plans: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session with `t` as a table of a catalog, `reviews`."""
    folder = tmp_path_factory.mktemp("reviews")
    plans.sql(f"CREATE TABLE reviews USING parquet LOCATION '{folder}' AS SELECT * FROM t")
    yield plans
    plans.sql("DROP TABLE reviews")


@pytest.mark.parametrize("claim", WITHOUT_ADAPTIVE)
def test_the_same_rows_without_adaptive_execution(plans: SparkSession, claim: str) -> None:
    [case] = [c for c in read_cases("catalyst_calls.json") if c["claim"] == claim]
    with configured(plans, {"spark.sql.adaptive.enabled": "false"}):
        rows, calls = run(plans, case["sql"])
    assert in_order(rows) == in_order(case["answer"])
    assert [call["rows"] for call in calls] == case["rows"]


@pytest.mark.parametrize("switch", ["spark.sparkllm.optimizer.shareCalls", "spark.sql.exchange.reuse"])
def test_without_sharing_identical_subqueries_give_the_same_rows(plans: SparkSession, switch: str) -> None:
    half = "(SELECT id, llm('classify', review) AS c FROM t)"
    sql = f"SELECT a.id, a.c, b.c FROM {half} a JOIN {half} b ON a.id = b.id"
    on = run(plans, sql)
    with configured(plans, {switch: "false"}):
        off = run(plans, sql)
    assert in_order(on[0]) == in_order(off[0])
    assert [[call["rows"] for call in calls] for _, calls in (on, off)] == [[12], [12, 12]]


OLD = pytest.mark.skipif(pyspark.__version__.startswith(("4.0.", "4.1.")), reason="Spark refuses it until 4.2")


@pytest.mark.parametrize("kind", ["TEMP VIEW", pytest.param("VIEW", marks=OLD)])
def test_a_call_in_a_view_is_as_if_it_stood_in_the_query(kept: SparkSession, kind: str) -> None:
    kept.sql(f"CREATE {kind} labelled AS SELECT id, review, llm('classify', review) AS c FROM reviews")
    try:
        assert counted(kept, "SELECT id FROM labelled WHERE c = 'OK' AND id > 5") == [6]
        assert counted(kept, "SELECT id FROM labelled WHERE id < 1") == []
        assert counted(kept, "SELECT id FROM labelled WHERE c = llm('classify', review)") == [12]
    finally:
        kept.sql("DROP VIEW labelled")


def test_spark_before_4_2_refuses_a_persistent_view_with_a_call(kept: SparkSession) -> None:
    if not pyspark.__version__.startswith(("4.0.", "4.1.")):
        pytest.skip("later versions keep it")
    with pytest.raises(AnalysisException, match="INVALID_TEMP_OBJ_REFERENCE"):
        kept.sql("CREATE VIEW labelled AS SELECT llm('classify', review) AS c FROM reviews")


@OLD
def test_a_view_of_another_session_finds_the_function(kept: SparkSession) -> None:
    """A persistent view outlives the session that made it: its text is read anew, in a session that is registered."""
    kept.sql("CREATE VIEW labelled AS SELECT id, llm('classify', review) AS c FROM reviews")
    try:
        other = register(kept.newSession(), _function=stand_in())
        assert counted(other, "SELECT c FROM labelled WHERE id = 2") == [1]
    finally:
        kept.sql("DROP VIEW labelled")


def test_a_cached_table_is_asked_for_once(kept: SparkSession) -> None:
    kept.sql("CACHE LAZY TABLE labelled AS SELECT id, llm('classify', review) AS c FROM reviews")
    try:
        assert counted(kept, "SELECT * FROM labelled WHERE c = 'OK'") == [12]
        assert counted(kept, "SELECT * FROM labelled WHERE c = 'BAD'") == []
        assert counted(kept, "SELECT id, llm('classify', review) AS c FROM reviews") == [], (
            "the same query, written out"
        )
    finally:
        kept.sql("DROP VIEW labelled")


def test_a_checkpoint_keeps_the_answers(kept: SparkSession) -> None:
    frame = kept.sql("SELECT id, llm('classify', review) AS c FROM reviews").localCheckpoint()
    frame.createOrReplaceTempView("checkpointed")
    assert counted(kept, "SELECT * FROM checkpointed WHERE c = 'OK'") == []


CREATE = "CREATE TABLE written USING {kind} LOCATION '{folder}' AS SELECT id"
COMMANDS = {
    "a table made of answers": CREATE + ", llm('classify', review) AS c FROM reviews",
    "a table made of rows that an answer keeps": CREATE + " FROM reviews WHERE llm('classify', review) <> 'x'",
    "a folder": "INSERT OVERWRITE DIRECTORY '{folder}' USING {kind} SELECT llm('classify', review) AS c FROM reviews",
}


@pytest.mark.parametrize("claim", COMMANDS)
def test_a_command_asks_once_for_each_row(kept: SparkSession, claim: str, tmp_path: Path) -> None:
    command = COMMANDS[claim].format(kind="json", folder=tmp_path / "written")
    try:
        assert counted(kept, command) == [12]
    finally:
        kept.sql("DROP TABLE IF EXISTS written")


def test_insert_into_partitions_asks_once(kept: SparkSession, tmp_path: Path) -> None:
    kept.sql(f"CREATE TABLE parts (id INT, c STRING) USING parquet PARTITIONED BY (c) LOCATION '{tmp_path / 'parts'}'")
    try:
        insert = "INSERT OVERWRITE parts SELECT id, llm('classify', review) AS c FROM reviews WHERE id < 5"
        assert counted(kept, insert) == [5]
        assert sorted(row.c for row in kept.sql("SELECT DISTINCT c FROM parts").collect()) == [
            "BAD",
            "GOOD",
            "MEH",
            "OK",
        ]
        assert counted(kept, "INSERT INTO parts PARTITION (c = 'X') SELECT length(llm('classify', review)) FROM t") == [
            12
        ]
    finally:
        kept.sql("DROP TABLE parts")


def test_the_writer_of_a_dataframe_asks_once_for_each_row(kept: SparkSession, tmp_path: Path) -> None:
    frame = kept.sql("SELECT id, llm('classify', review) AS c FROM reviews")
    frame.write.parquet(str(tmp_path / "written"))
    assert rows_asked(kept) == [12]
    assert kept.read.parquet(str(tmp_path / "written")).where("c = 'OK'").count() == 3


@pytest.mark.parametrize("mode", ["simple", "extended", "codegen", "cost", "formatted"])
def test_a_dataframe_explains_itself(kept: SparkSession, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept.sql("SELECT id, llm('classify', review) AS c FROM reviews WHERE id > 5").explain(mode=mode)
    assert "llm('classify', review" in capsys.readouterr().out


def test_the_plan_that_ran_is_explained_too(kept: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    frame = kept.sql("SELECT title, llm('classify', max(review)) AS c FROM reviews GROUP BY title")
    frame.collect()
    frame.explain()
    assert "isFinalPlan=true" in (plan := capsys.readouterr().out)
    assert "expected calls: at most 4" in plan, "two partial groups of each of two tasks: the exchange is counted"


REFUSED = {
    "a default of a column": (
        "CREATE TABLE x (a STRING, b STRING DEFAULT llm('classify', 'good')) USING parquet",
        "DEFAULT",
    ),
    "a correlated argument over an aggregate": (
        "SELECT id, (SELECT llm('Which is it?', max(utitle), t.review) FROM u WHERE uid < t.id) FROM t",
        "referencing the outer query are not supported",
    ),
    "a streaming aggregate": ("SELECT count(llm('classify', CAST(value AS STRING))) FROM stream", "foreachBatch"),
}


@pytest.mark.parametrize("claim", REFUSED)
def test_what_cannot_be_evaluated_is_refused_before_it_runs(kept: SparkSession, claim: str) -> None:
    sql, says = REFUSED[claim]
    with pytest.raises(AnalysisException) as error:
        kept.sql(sql).collect()
    assert says in str(error.value)
    assert "INTERNAL_ERROR" not in str(error.value)


def test_foreach_batch_may_call_it(kept: SparkSession, tmp_path: Path) -> None:
    """What the error of a streaming query advises."""
    seen: list[str] = []

    def batch(frame: Any, _: int) -> None:
        seen.extend(row.c for row in frame.selectExpr("llm('classify', review) AS c").collect())

    source = kept.readStream.schema("id INT, review STRING, title STRING").parquet(
        kept.sql("DESCRIBE FORMATTED reviews").where("col_name = 'Location'").first()[1]  # type: ignore[index]
    )
    stream = (
        source.writeStream.foreachBatch(batch).option("checkpointLocation", str(tmp_path)).trigger(availableNow=True)
    )
    stream.start().awaitTermination()
    assert sorted(set(seen)) == ["BAD", "GOOD", "MEH", "OK"]
    assert len(seen) == 12
