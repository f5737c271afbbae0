"""What EXPLAIN and the Spark UI say about a call before it runs, and what the report says of its field order after."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from sparkllm.spark_session import register
from tests.optimizer.capitals import stand_in
from tests.optimizer.cases import cases
from tests.optimizer.noise import noise
from tests.optimizer.queries import jobs_started, query_id
from tests.settings import configured

CBO = {"spark.sql.cbo.enabled": "true"}


@pytest.fixture(scope="module")
def explained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with a folder of unknown size `files`, a table with column statistics `cities`, and a large `t`."""
    session = register(spark.newSession(), _function=stand_in())
    folder = tmp_path_factory.mktemp("explained")
    cities = pd.DataFrame({"city": ["Rome", "Oslo", "Lima", None] * 5, "street": ["a", "b"] * 10, "n": range(20)})
    large = pd.DataFrame(
        {"city": [f"{i % 40} {noise(i % 40, 300)}" for i in range(3000)], "text": map(str, range(3000))}
    )
    large["text"] = [noise(i, 400) for i in range(3000)]
    for name, table in (("cities", cities), ("t", large)):
        (folder / name).mkdir()
        table.to_parquet(folder / name / "0.parquet", index=False)
        session.sql(f"CREATE TABLE explained_{name} USING parquet LOCATION '{folder / name}'")
        session.sql(f"ANALYZE TABLE explained_{name} COMPUTE STATISTICS FOR ALL COLUMNS")
        session.table(f"explained_{name}").createOrReplaceTempView(name)
    session.read.parquet(str(folder / "cities")).createOrReplaceTempView("files")
    yield session
    for name in ("cities", "t"):
        session.sql(f"DROP TABLE explained_{name}")


def nodes(spark: SparkSession, sql: str, mode: str = "EXTENDED") -> list[str]:
    """The lines of the calls in the optimized and in the physical plan."""
    plan = spark.sql(f"EXPLAIN {mode} {sql}").collect()[0][0]
    return [line for line in plan.splitlines() if "LLMEval llm(" in line]


def expected(spark: SparkSession, sql: str) -> list[str]:
    found = [re.search(r"expected calls: (.*)$", line) for line in nodes(spark, sql)]
    assert found
    return [match[1] if match else "not shown" for match in found]


@pytest.mark.parametrize("case", cases("explain.json", "expected_calls"))
def test_expected_calls_follow_the_statistics(explained: SparkSession, case: dict[str, Any]) -> None:
    with configured(explained, CBO):
        got = expected(explained, case["sql"])
    assert len(got) >= 2, "the optimized and the physical plan"
    assert set(got) == {case["says"]}, f"before: {case['sql']}\ngot: {got}\nexpected: {case['says']}"


def test_without_cbo_a_table_is_unknown(explained: SparkSession) -> None:
    assert set(expected(explained, "SELECT llm('classify', city) FROM cities")) == {"unknown"}


def test_without_dedup_every_row_is_a_call(explained: SparkSession) -> None:
    with configured(explained, CBO | {"spark.sparkllm.optimizer.dedup": "false"}):
        assert set(expected(explained, "SELECT llm('classify', city) FROM cities")) == {"20"}


def test_sampled_answers_are_one_for_each_row(explained: SparkSession) -> None:
    with configured(explained, CBO | {"spark.sparkllm.temperature": "0.7"}):
        assert set(expected(explained, "SELECT llm('classify', city) FROM cities")) == {"20"}


def test_prompts_that_meet_in_one_task_are_counted_once(explained: SparkSession) -> None:
    with configured(explained, CBO | {"spark.sparkllm.tasks": "8"}):
        lines = nodes(explained, "SELECT llm('classify', city) FROM t")
    assert all("field order: city, " in line for line in lines)
    counts = {int(line.rpartition("expected calls: ")[2]) for line in lines}
    assert len(counts) == 1
    assert counts.pop() == pytest.approx(40, rel=0.1), "Spark's own distinct count is an estimate"


@pytest.mark.parametrize("case", cases("explain.json", "field_order"))
def test_the_field_order_is_shown_or_who_decides(explained: SparkSession, case: dict[str, Any]) -> None:
    settings = {"tasks": case["tasks"], "optimizer.orderFields": case.get("orderFields", True)}
    settings["optimizer.orderRows"] = case.get("orderRows", True)
    with configured(explained, {f"spark.sparkllm.{key}": json.dumps(value) for key, value in settings.items()}):
        lines = nodes(explained, case["sql"])
    assert lines
    shown = f", field order: {case['says']}, expected calls:"
    assert all(shown in line for line in lines), f"before: {case['sql']}\ngot: {lines}\nexpected: {shown}"


@pytest.mark.parametrize("mode", ["", "EXTENDED", "FORMATTED", "COST", "CODEGEN"])
def test_every_kind_of_explain_runs_no_job(explained: SparkSession, mode: str) -> None:
    with jobs_started(explained, f"explain {mode}") as jobs:
        plan = explained.sql(f"EXPLAIN {mode} SELECT llm('classify', city, text) FROM t").collect()[0][0]
        assert jobs() == []
    if mode != "CODEGEN":
        assert "expected calls: " in plan
        assert "model: demo" in plan


def test_the_spark_ui_shows_the_expected_calls(explained: SparkSession) -> None:
    explained.sql("SELECT llm('classify', c) FROM VALUES ('a'), ('b') AS v(c)").collect()
    graph = explained._jsparkSession.sharedState().statusStore().planGraph(query_id(explained)).allNodes()
    shown = [graph.apply(i).desc() for i in range(graph.size()) if graph.apply(i).name() == "LLMEval"]
    assert len(shown) == 1
    assert ", model: demo, field order: c, expected calls: at most 2" in shown[0]


def test_statistics_pass_through_a_call(explained: SparkSession) -> None:
    """Spark's own estimate of a join above would otherwise be made of sizes alone."""
    with configured(explained, CBO):
        plan = explained.sql("EXPLAIN COST SELECT n, llm('classify', city) AS c FROM cities").collect()[0][0]
    assert [line for line in plan.splitlines() if line.startswith("Project") and "rowCount=20)" in line]


def test_a_plan_is_the_same_whatever_its_statistics_say(explained: SparkSession, tmp_path: Path) -> None:
    sql = "SELECT llm('classify', city) FROM cities"
    plans = []
    for cbo in ("true", "false"):
        with configured(explained, {"spark.sql.cbo.enabled": cbo}):
            plans.append(explained.sql(sql)._jdf.queryExecution().executedPlan())
    assert plans[0].sameResult(plans[1])
