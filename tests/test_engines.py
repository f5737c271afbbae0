"""Engines as a Spark user meets them: a wrong model, two models at once, the end of a driver."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import psutil
import pytest
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

import sparkllm
from sparkllm import llm

GONE_SECONDS = 15

DRIVER = """
import sys, time, sparkllm
spark = sparkllm.session(model="demo", master="local[1]", runtime_dir=sys.argv[1], kv_cache_gib=1,
                         **{"spark.ui.enabled": "false"})
spark.sql("SELECT llm('classify', 'I love it')").collect()
print("answered", flush=True)
spark.sql("SELECT sum(length(llm('Write a long story.', concat(id, ' of them')))) FROM range(2000)").collect()
"""


@pytest.fixture(scope="module")
def second_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "second"
    with resources.as_file(resources.files("sparkllm") / "demo" / "model") as model:
        shutil.copytree(model, folder)
    return folder


def test_a_wrong_model_path_is_one_clear_error_within_seconds(spark: SparkSession) -> None:
    started = time.monotonic()
    with pytest.raises(PythonException, match=r"(?s)EngineStartError.*/no/such/model"):
        spark.sql("SELECT llm('classify', 'fine', model => '/no/such/model')").collect()
    assert time.monotonic() - started < 20


def test_two_models_in_one_query_each_have_an_engine(spark: SparkSession, second_model: Path) -> None:
    sparkllm.stop(spark)  # another file's engine of other settings may be idle
    table = spark.createDataFrame([("I love it",), ("It broke",)], "review string").coalesce(1)
    rows = table.select(
        llm("classify", "review").alias("one"), llm("classify", "review", model=str(second_model)).alias("two")
    ).collect()
    assert [row.one for row in rows] == [row.two for row in rows]  # the same weights
    report = sparkllm.last_report(spark)
    assert {call.call.model for call in report.calls} == {None, str(second_model)}
    assert [call.requests for call in report.calls] == [2, 2]
    assert sparkllm.stop(spark) == 2  # the next query starts what it needs again
    assert sparkllm.stop(spark) == 0


def test_a_killed_driver_leaves_no_engine(tmp_path: Path) -> None:
    runtime = tmp_path / "engines"
    runtime.mkdir(mode=0o700)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(runtime)], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        assert driver.stdout.readline().strip() == "answered"
        family = engine_processes(runtime)
        assert len(family) >= 3
        os.kill(driver.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=GONE_SECONDS)
        assert alive == []
    finally:
        driver.kill()


def engine_processes(runtime: Path) -> list[psutil.Process]:
    """Watchdog, server and vLLM's own processes of the engines below `runtime`."""
    named = [p for p in psutil.process_iter(["cmdline"]) if any(str(runtime) in a for a in p.info["cmdline"] or [])]
    watchdogs = [p for p in named if "sparkllm.backend.watchdog" in p.info["cmdline"]]
    return [q for p in watchdogs for q in (p, *p.children(recursive=True))]


def test_an_rdd_of_the_answers_uses_the_sessions_own_engine_and_settings(spark: SparkSession) -> None:
    """`df.rdd` runs outside an SQL execution, where Spark gives its tasks no settings."""
    frame = spark.createDataFrame([("I love it",), ("It broke",)], "review string").coalesce(1)
    asked = frame.select(llm("classify", "review").alias("c"))
    assert asked.rdd.map(lambda row: row.c).collect() == [row.c for row in asked.collect()]
    folders = Path(spark.conf.get("spark.sparkllm.runtimeDir") or "").glob("*/spec.json")
    applications = {json.loads(path.read_text(encoding="utf-8"))["application"] for path in folders}
    assert spark.sparkContext.applicationId in applications
    assert not any(name.startswith("process-") for name in applications)
