"""Every Catalyst rule as a pair of optimized plans: without the rule and with it, all others being on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sparkllm.config import LLMConfig
from sparkllm.spark_session import register
from tests.optimizer.capitals import stand_in
from tests.optimizer.cases import read_cases
from tests.optimizer.queries import plan
from tests.settings import configured

CASES = read_cases("catalyst_plans.json")
# these run in the Python workers, or order by what earlier queries kept
NO_RULES_OF_CATALYST = {"dedup", "orderFields", "orderRows", "learnSelectivity", "tokenizeCells"}


@pytest.fixture(scope="module")
def tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    session = register(spark.newSession(), tasks=2, optimizer_learn_selectivity=False, _function=stand_in())
    columns = {"t": ["int(id) AS id", "string(id) AS title", "string(id) AS review"], "u": ["int(id) AS uid"]}
    for name, expressions in columns.items():
        path = str(tmp_path_factory.mktemp("plans") / name)
        session.range(4).selectExpr(*expressions).write.parquet(path)
        session.read.parquet(path).createOrReplaceTempView(name)
    return session


def optimized(spark: SparkSession, sql: str) -> list[str]:
    """The lines of the plan without ids, and of an LLMEval without what it repeats."""
    text = plan(spark.sql(sql))
    for repeated in (r", fields: \[[^\]]*\], model: \w+", r"(, field order: .*)?, expected calls: .*", r"#\d+L?"):
        text = re.sub(repeated, "", text)
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{c['rule']}: {c['claim']}") for c in CASES])
def test_a_rule_turns_this_plan_into_that(tables: SparkSession, case: dict[str, Any]) -> None:
    # files of some bytes as large as a table of some MB
    with configured(tables, {"spark.sql.sources.fileCompressionFactor": "10000" if case.get("large") else "1.0"}):
        with configured(tables, {f"spark.sparkllm.optimizer.{case['rule']}": "false"}):
            before = optimized(tables, case["sql"])
        after = optimized(tables, case["sql"])
    for name, got in (("before", before), ("after", after)):
        expected = case[name]
        shown = "\n".join([case["sql"], "before:", *case["before"], "got:", *got, "expected:", *expected])
        assert got == expected, f"{name}, {shown}"


def test_every_rule_has_a_pair() -> None:
    switches = {key.rpartition(".")[2] for key, name in LLMConfig.spark_keys().items() if name.startswith("optimizer_")}
    assert {case["rule"] for case in CASES} == switches - NO_RULES_OF_CATALYST


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, title FROM t WHERE EXISTS (SELECT 1 FROM u WHERE id = uid AND llm('Is it odd?', uid) = 'ODD')",
        "SELECT a, title FROM (SELECT uid, llm('What is it?', uid) AS a FROM u) JOIN t ON id = uid WHERE title <> 'x'",
    ],
)
def test_the_rows_of_a_call_are_reduced_once(tables: SparkSession, sql: str) -> None:
    """Rules run until nothing changes: one that does not know its own work would repeat it a hundred times."""
    lines = optimized(tables, sql)
    assert [line.strip(" +-:") for line in lines].count("Join LeftSemi, (id = uid)") <= 2, "\n".join(lines)
    assert sum("Join" in line for line in lines) == 2


def test_the_rows_of_a_correlated_subquery_are_reduced_before_they_are_placed(tables: SparkSession) -> None:
    sql = "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE id = uid AND llm('Is it odd?', uid) = 'ODD')"
    with configured(tables, {"spark.sql.sources.fileCompressionFactor": "10000"}):
        lines = optimized(tables, sql)
    order = [word for line in lines for word in ("Join LeftSemi", "LLMEval", "KeyedRows") if word in line]
    assert order == ["Join LeftSemi", "LLMEval", "KeyedRows", "Join LeftSemi"], "\n".join(lines)
