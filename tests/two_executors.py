"""Two executors that share an engine: prints what second attempts and one budget came to, as JSON.

They are on one machine under two addresses, so two hosts to Spark, which starts no second attempt on the first one's.

A Spark context of its own, so a process of its own: `python -m tests.two_executors FOLDER`.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

import sparkllm
from bench.engine_lives import EngineLives
from sparkllm.backend.client import stop
from tests.optimizer.standalone import Cluster

__all__ = ["BUDGET", "LONG", "ROWS", "SHARED", "SHORT", "TASKS"]

LONG, SHORT, TASKS = 3000, 4, 6  # rows of the task that Spark takes to be slow, and of each other one; below 10,000
SHARED = 200  # prompts that two executors ask at the same time
ROWS, BUDGET = 150, 225  # both calls of the query ask one of them for each row


def session(master: str, engines: Path, ledger: Path) -> SparkSession:
    """Tasks stay as they are; Spark starts a second attempt of what takes twice as long as the median."""
    engines.mkdir(mode=0o700)
    conf = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.executor.cores": "1",
        "spark.executor.memory": "600m",
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.quantile": "0.5",
        "spark.speculation.multiplier": "2",
        "spark.speculation.minTaskRuntime": "500ms",
        "spark.speculation.efficiency.enabled": "false",
        "spark.sparkllm.optimizer.coLocate": "false",
    }
    return sparkllm.session(
        model="demo",
        master=master,
        runtime_dir=str(engines),
        ledger=str(ledger),
        kv_cache_gib=1,
        max_tokens=12,
        **conf,
    )


def attempts(spark: SparkSession, group: str) -> int:
    """Attempts of tasks that the stages of a job group began, those that are being stopped included.

    The listener hears of a stopped attempt some time after the query has ended.
    """
    until = time.monotonic() + 10
    while (found := _attempts(spark, group)) <= TASKS and time.monotonic() < until:
        time.sleep(0.5)
    return found


def _attempts(spark: SparkSession, group: str) -> int:
    context = spark.sparkContext
    tracker, store = context.statusTracker(), context._jsc.sc().statusStore()
    jobs = filter(None, map(tracker.getJobInfo, tracker.getJobIdsForGroup(group)))
    stages = [store.lastStageAttempt(stage) for job in jobs for stage in job.stageIds]
    counts = ("numActiveTasks", "numCompleteTasks", "numKilledTasks", "numFailedTasks")
    return sum(getattr(stage, count)() for stage in stages for count in counts)


def second_attempt(spark: SparkSession, lives: EngineLives) -> dict[str, Any]:
    """One task of many rows beside short ones: Spark runs it twice at a time."""
    before = lives.total("requests")
    last = f"10000 * id + IF(id = 0, {LONG}, {SHORT}) - 1"
    rows = spark.range(0, TASKS, 1, TASKS).selectExpr(f"explode(sequence(10000 * id, {last})) AS id")
    rows.createOrReplaceTempView("rows")
    spark.sparkContext.setJobGroup("second", "second")
    call = "llm('Continue.', concat('number ', id, ' and what comes next'))"
    answers = spark.sql(f"SELECT id, {call} AS a FROM rows").collect()
    return {
        "rows": len(answers),
        "answered": sum(row.a is not None for row in answers),
        "distinct": len({row.id for row in answers}),
        "attempts": attempts(spark, "second"),
        "requests": lives.total("requests") - before,
    }


def same_prompts(spark: SparkSession, lives: EngineLives) -> dict[str, Any]:
    """The same prompts in two tasks, each on an executor of its own."""
    before = lives.total("requests")
    spark.range(0, 2 * SHARED, 1, 2).createOrReplaceTempView("twice")
    call = f"llm('Continue.', concat('shared number ', id % {SHARED}, ' and what comes next'))"
    answers = spark.sql(f"SELECT id % {SHARED} AS id, {call} AS a FROM twice").collect()
    by_prompt: dict[int, set[str]] = {}
    for row in answers:
        by_prompt.setdefault(row.id, set()).add(row.a)
    return {
        "rows": len(answers),
        "answers_of_a_prompt": max(map(len, by_prompt.values())),
        "requests": lives.total("requests") - before,
    }


def two_engines(spark: SparkSession, lives: EngineLives, copy: Path) -> dict[str, Any]:
    """A query with a call to each of two models, so two engines, under one budget of calls."""
    shutil.copytree(str(resources.files("sparkllm").joinpath("demo", "model")), copy)
    before = lives.total("requests")
    spark.conf.set("spark.sparkllm.maxCalls", str(BUDGET))
    text = "concat('thing ', id, ' is good')"
    first, second = f"llm('classify', {text})", f"llm('classify', {text}, model => '{copy}')"
    rows = spark.sql(f"SELECT {first} AS a, {second} AS b FROM range(0, {ROWS}, 1, 2)").collect()
    spark.conf.unset("spark.sparkllm.maxCalls")
    report = sparkllm.last_report(spark)
    return {
        "rows": len(rows),
        "answered": [sum(row.a is not None for row in rows), sum(row.b is not None for row in rows)],
        "requests": lives.total("requests") - before,
        "used": report.budget.used["calls"] if report.budget else None,
        "engines": lives.lives,
    }


def main(folder: Path) -> None:
    """All three, one after the other."""
    engines = folder / "engines"
    with Cluster(folder / "cluster") as cluster:
        for i in (1, 2):
            cluster.add(f"worker-{i}", f"127.0.0.{i}", cores=1)
        spark = session(cluster.master, engines, folder / "ledger")
        spark.sql("SELECT llm('Say yes.')").collect()  # the engine starts
        with EngineLives(engines) as lives:
            found = {
                "second attempt": second_attempt(spark, lives),
                "same prompts": same_prompts(spark, lives),
                "two engines": two_engines(spark, lives, folder / "copy"),
            }
        spark.stop()
        stop(config=sparkllm.LLMConfig(runtime_dir=str(engines)))
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
