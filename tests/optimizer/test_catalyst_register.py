"""register() on a session that runs already, and session()'s settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sparkllm import spark_session as session_module
from sparkllm.errors import ConfigError
from sparkllm.optimizer.jar import build_jar
from sparkllm.spark_session import register
from tests.optimizer.capitals import stand_in

# a process of its own: its Spark has master and extension from spark-defaults.conf, ours got the rules when it ran
EXTENDED = """
import json, sys, warnings
from sparkllm.spark_session import last_reports, register, session
from tests.optimizer.capitals import stand_in
warnings.simplefilter("error")
spark = session(max_tokens=7, **{"spark.ui.enabled": "false"})
assert (spark.sparkContext.master, spark.conf.get("spark.sql.extensions")) == ("local[1]", sys.argv[1])
spark.sql("SELECT int(id) AS id, 'good' AS review FROM range(0, 8, 1, 1)").createOrReplaceTempView("t")
register(spark, tasks=2, _function=stand_in())
assert spark.conf.get("spark.sparkllm.maxTokens") == "7"
for sql in sys.argv[2:]:
    frame = spark.sql(sql)
    rows = frame.collect()
    calls = [c["rows"] for c in json.loads(last_reports(spark, 1)[0])["calls"]]
    try:
        spark.sql("SELECT llm('clasify', review) FROM t")
    except Exception as error:
        told = "did you mean 'classify'?" in str(error)
    try:
        spark.sql("SELECT llm_agg('What?', review) FILTER (WHERE id > 1) FROM t")
    except Exception as error:
        told = told and "takes no FILTER; give it CASE WHEN" in str(error)
    plan = frame._jdf.queryExecution().optimizedPlan().canonicalized().toString()
    print("RESULT", json.dumps([len(rows), calls, told, plan]))
"""
EXTENSION = "sparkllm.catalyst.SparkLLMExtensions"
SQL = [
    "SELECT id, llm('classify', review) AS c FROM t WHERE llm('classify', review) = 'GOOD' AND id > 3",
    "SELECT id, llm('classify', review) AS c FROM t LIMIT 2",
    "SELECT llm('classify', review) AS c FROM t ORDER BY c",
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.id = t.id AND llm('classify', t.review) = 'GOOD')",
    "SELECT llm('classify', review) FROM t UNION ALL SELECT llm('classify', review) FROM t",
    "SELECT count(llm('classify', string(id))) FROM range(0, 40000, 1, 2)",
]


def test_a_running_session_gets_the_plans_of_a_configured_one(spark: SparkSession, tmp_path: Path) -> None:
    defaults = {"spark.master": "local[1]", "spark.jars": build_jar(), "spark.sql.extensions": EXTENSION}
    lines = [f"{key} {value}" for key, value in defaults.items()]
    (tmp_path / "spark-defaults.conf").write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", EXTENDED, EXTENSION, *SQL],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"SPARK_CONF_DIR": str(tmp_path)},
    )
    got = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert len(got) == len(SQL), done.stderr[-3000:]
    assert [(rows, calls) for rows, calls, _, _ in got] == [
        (4, [4]),
        (2, [2]),
        (8, [8]),
        (8, [8]),
        (16, [8]),
        (1, [40000]),
    ]
    assert all(told for _, _, told, _ in got)
    fresh = register(spark.newSession(), tasks=2, _function=stand_in())
    fresh.sql("SELECT int(id) AS id, 'good' AS review FROM range(0, 8, 1, 1)").createOrReplaceTempView("t")
    plans = [fresh.sql(sql)._jdf.queryExecution().optimizedPlan().canonicalized().toString() for sql in SQL]
    assert [plan for _, _, _, plan in got] == plans


def test_a_running_session_gets_every_last_rule_in_order(spark: SparkSession) -> None:
    session = register(spark.newSession(), _function=stand_in())
    jvm = session._jsparkSession
    loader = jvm.sharedState().jarClassLoader()
    extensions = loader.loadClass(f"{EXTENSION}$").getField("MODULE$").get(None)
    jvm.sessionState().optimizer()  # Spark asks for the rules there, and once for each query
    present = names(jvm.experimental().extraOptimizations())
    assert present == names(extensions.lastRules(jvm))
    batches = jvm.sessionState().optimizer().batches()
    inside = {name for i in range(batches.size()) for name in names(batches.apply(i).rules())}
    assert set(names(extensions.rules())) <= inside


def names(rules: Any) -> list[str]:
    return [str(rules.apply(i).ruleName()) for i in range(rules.size())]


def test_register_twice_installs_once(spark: SparkSession) -> None:
    session = spark.newSession()
    state = session._jsparkSession.sessionState()
    counted = []
    for _ in range(2):
        register(session, _function=lambda calls, rows: rows)
        listeners = session._jsparkSession.listenerManager().listListeners()
        counted.append((state.planNormalizationRules().size(), len(listeners)))
    assert counted[0] == counted[1]
    assert counted[0][1] == 1


def test_a_misspelt_option_names_the_nearest(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match=r"max_token.*did you mean 'max_tokens'"):
        register(spark.newSession(), max_token=3)
    with pytest.raises(ConfigError, match=r"app_nam.*did you mean 'app_name'"):
        session_module.session(app_nam="x")
    with pytest.raises(ConfigError, match=r"spark.sparkllm.maxToken.*did you mean 'spark.sparkllm.maxTokens'"):
        session_module.session(**{"spark.sparkllm.maxToken": "3"})


def test_register_sets_what_was_given_and_leaves_the_rest(spark: SparkSession) -> None:
    session = spark.newSession()
    register(session, model="m", max_tokens=5, _function=lambda calls, rows: rows)
    register(session, max_tokens=128, _function=lambda calls, rows: rows)  # the default: given, so it counts
    assert (session.conf.get("spark.sparkllm.model"), session.conf.get("spark.sparkllm.maxTokens")) == ("m", "128")
