"""Plans under a placement: which pools a call names, and where its stages end; nothing runs here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from sparkllm.calls import LLMCall
from sparkllm.spark_session import _scala_object
from tests.optimizer.test_pool_ranges import POOLS, SPLIT, WHOLE
from tests.settings import configured

PLACEMENT = {"spark.sparkllm.placement": json.dumps({"pools": POOLS, "buckets": [SPLIT, WHOLE]})}
CALLS = (
    "llm('classify', review)",
    "llm('classify', review, labels => array('it\\'s good', 'bad'), order => 'auto')",
    "llm('Is it good?', title, review, model => 'a/b')",
    "llm('Who wrote {title}?', review, schema => 'name STRING, `the age` INT NOT NULL, tags ARRAY<STRING>')",
    "llm_classify(struct(title, review), array('it\\'s good', 'bad'), max_tokens => 5)",
    "llm_filter('Is {title} good?', review, on_error => 'struct')",
    "llm_extract(review, 'name STRING NOT NULL, age INT')",
    "llm_extract(review, array('name', 'the age'))",
    "llm_mask(review, array('name'))",
    "llm_gen('Tell of ' || title || ' in {braces}.')",
    "llm('translate', review, lang => 'French')",
    "llm_agg('What is it?', review)",
    "llm_agg('What of {it}?', review, order => 'off')",
    "llm('agg', 'What is it?', review)",
    "llm_summarize_agg(review, 20)",
    "ai_similarity(review, title)",
    "ai_query('a/b', 'Is it ' || review, returnType => 'INT', failOnError => false)",
)


@pytest.fixture
def planned(plans: SparkSession) -> Iterator[SparkSession]:
    with configured(plans, PLACEMENT):
        yield plans


def executed(frame: DataFrame) -> str:
    return str(frame._jdf.queryExecution().sparkPlan().toString())  # type: ignore[operator]


def calls(plan: Any) -> list[Any]:
    below = [call for i in range(plan.children().size()) for call in calls(plan.children().apply(i))]
    return [plan, *below] if plan.nodeName() == "LLMEval" else below


def test_explain_names_the_pools_of_a_call(planned: SparkSession) -> None:
    text = planned.sql("EXPLAIN EXTENDED SELECT llm('classify', review) FROM t").collect()[0][0]
    assert text.count("pools: 2 L4, 1 A100-80") >= 2


def test_without_a_placement_a_plan_has_no_pools(plans: SparkSession) -> None:
    assert "InPools" not in executed(plans.sql("SELECT llm('classify', review) FROM t"))


def test_calls_of_one_stage_go_to_their_pools_together(planned: SparkSession) -> None:
    sql = "SELECT id FROM t WHERE llm('classify', review) = 'positive' AND llm('Is it cheap?', review) = 'yes'"
    plan = executed(planned.sql(sql))
    assert plan.count("LLMEval ") == 2
    assert plan.count("InPools ") == 1


def test_a_call_above_an_aggregate_has_a_stage_of_its_own(planned: SparkSession) -> None:
    sql = "SELECT llm('Is it good?', c) FROM (SELECT llm('classify', review) AS c, count(*) FROM t GROUP BY 1)"
    plan = executed(planned.sql(sql))
    assert plan.count("InPools ") == 2


def test_a_limit_stays_in_the_stage_of_its_call(planned: SparkSession) -> None:
    plan = executed(planned.sql("SELECT * FROM t WHERE llm('classify', review) = 'positive' LIMIT 3"))
    assert "InOnePool A100-80" in plan
    assert "InPools" not in plan


@pytest.mark.parametrize("call", CALLS)
def test_a_call_has_the_name_that_the_planner_knows_it_by(plans: SparkSession, call: str) -> None:
    frame = plans.sql(f"SELECT {call} FROM t")
    (node,) = calls(frame._jdf.queryExecution().optimizedPlan())  # type: ignore[operator]
    spec = node.call().spec()
    assert _scala_object(plans, "sparkllm.catalyst.CallText").apply(spec) == str(LLMCall.from_json(spec.json()))
