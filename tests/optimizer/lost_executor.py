"""A query on two executors of their own processes, one of which is killed; prints what came of it as JSON.

A Spark context of its own, so a process of its own: `python -m tests.optimizer.lost_executor FOLDER`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from bench.spark_home import own_spark_home
from sparkllm.spark_session import register, session
from sparkllm.udf.iterator_udf import iterator_udf

ROWS, DISTINCT, TASKS = 100_000, 20_000, 8
CALL = "llm('Is it good?', {product}, review)"
# the answers are read through one more shuffle: with their executor, they are lost
SQL = "SELECT /*+ REPARTITION(4, id) */ id, md5(concat(product, '|', review)) AS expected, {call} AS answer FROM t"
SLOW = "concat(product, left(string(aggregate(sequence(0, 20 + length(product) % 2), 0, (a, b) -> a + b)), 0))"
EXECUTOR = "CoarseGrainedExecutorBackend"


def stand_in(log: str, kills: bool) -> Any:
    """An `__llm_eval` that answers "task digest", and leaves what it asked in a file for each attempt of a task.

    With `kills`, the first task of the second half ends its executor in the middle of its rows, once.
    """

    def kill_executor() -> None:
        try:
            os.close(os.open(f"{log}/killed", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(executor(), signal.SIGKILL)
        time.sleep(60)

    def executor() -> int:
        own = next(p for p in psutil.Process().parents() if EXECUTOR in " ".join(p.cmdline()))
        return int(own.pid)

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        import hashlib

        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        task = context.partitionId()
        asked: set[str] = set()
        with Path(log, f"{task}-{context.taskAttemptId()}-{executor()}").open("w", encoding="utf-8") as out:
            for batch in batches:
                texts = ["|".join(row.values()) for row in batch[1].to_pylist()]
                digests = [hashlib.md5(text.encode()).hexdigest() for text in texts]
                new = dict.fromkeys(d for d in digests if d not in asked)
                asked.update(new)
                out.writelines(f"{d}\n" for d in new)
                out.flush()
                if kills and task >= TASKS // 2:
                    kill_executor()
                answers = pa.array([f"{task} {d}" for d in digests], pa.string())
                yield pa.StructArray.from_arrays([answers, pa.nulls(len(answers), pa.string())], ["value", "error"])

    return iterator_udf(llm_eval, StructType([StructField(n, StringType()) for n in ("value", "error")]))


def kill_in_job(spark: SparkSession, group: str, job: int) -> Callable[[], str]:
    """Kill an executor as soon as the first stage of the n-th job of a group has ended two of its tasks.

    What is returned waits for that, and says what was done: the executor, and the stage's tasks that had ended.
    """
    said: list[str] = []

    def watch() -> None:
        tracker = spark.sparkContext.statusTracker()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            jobs = sorted(tracker.getJobIdsForGroup(group))
            if len(jobs) > job:
                info = tracker.getJobInfo(jobs[job])
                stages = [tracker.getStageInfo(s) for s in sorted(info.stageIds)] if info else []
                running = [s for s in stages if s and s.numActiveTasks]
                if running and running[0].numCompletedTasks >= 2:
                    pid = executors()[0]
                    os.kill(pid, signal.SIGKILL)
                    said.append(f"{pid} {running[0].numCompletedTasks}/{running[0].numTasks}")
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()

    def wait() -> str:
        thread.join()
        return said[0] if said else ""

    return wait


def executors() -> list[int]:
    """Of this application, the oldest first."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended just now, or is a zombie
            if "java" in process.name() and EXECUTOR in " ".join(process.cmdline()):
                found.append((process.create_time(), process.pid))
    return [pid for _, pid in sorted(found)]


def run(spark: SparkSession, folder: Path, product: str, when: int | None) -> dict[str, Any]:
    """Run the query; the executor is killed in job `when`, or (None) by a task of the call itself."""
    folder.mkdir()
    register(spark, _function=stand_in(str(folder), kills=when is None))
    before, start = executors(), time.monotonic()
    killed = (lambda: "") if when is None else kill_in_job(spark, folder.name, when)
    spark.sparkContext.setJobGroup(folder.name, folder.name)
    frame = spark.sql(SQL.format(call=CALL.format(product=product)))
    plan = frame._jdf.queryExecution().optimizedPlan().toString()  # type: ignore[operator]
    rows: Any = frame.toPandas()
    at, alive = killed(), executors()
    answers = rows.answer.str.split(" ", expand=True)
    tasks, attempts = defaultdict(set), {}
    for file in folder.glob("*-*-*"):
        task, _, pid = file.name.split("-")
        attempts[file.name] = (int(pid), digests := file.read_text().split())
        for digest in digests:
            tasks[digest].add(int(task))
    lost = {int(at.split()[0])} if at else set(before) - set(alive)
    return {
        "placed": "KeyedRows" in plan,
        "exchanges": plan.count("RepartitionByExpression"),
        "rows": len(rows),
        "ids": sorted(rows.id) == list(range(ROWS)),
        "right": bool((answers[1] == rows.expected).all()),
        "tasks_of_a_prompt": int(answers[0].groupby(answers[1]).nunique().max()),
        "tasks_ever_of_a_prompt": max(map(len, tasks.values())),
        "distinct": int(rows.expected.nunique()),
        "requests": sum(len(d) for _, d in attempts.values()),
        "requests_lost": sum(len(d) for pid, d in attempts.values() if pid in lost),
        "attempts": len(attempts),
        "killed": at or sorted(lost),
        "jobs": len(spark.sparkContext.statusTracker().getJobIdsForGroup(folder.name)),
        "seconds": round(time.monotonic() - start, 1),
    }


def main(folder: Path) -> None:
    own_spark_home(folder / "spark")
    spark = session(
        master="local-cluster[2,1,1024]",
        **{
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.memory": "1g",
            "spark.sparkllm.tasks": str(TASKS),
            "spark.sql.files.minPartitionNum": "8",
            "spark.sql.files.openCostInBytes": "1",
            "spark.sql.execution.arrow.pyspark.enabled": "true",
        },
    )
    spark.udf.register("once", lambda text: text, "string")
    spark.range(ROWS).selectExpr("id", f"id * 7919 % {DISTINCT} AS n").selectExpr(
        "id",
        "concat('product ', n % 40, repeat(md5(string(n % 40)), 4)) AS product",
        "concat('review ', md5(string(n))) AS review",
    ).repartition(4).write.parquet(f"{folder}/t")
    spark.read.parquet(f"{folder}/t").createOrReplaceTempView("t")
    found = {
        "first pass": run(spark, folder / "first", SLOW, 0),
        "second pass": run(spark, folder / "second", SLOW, 1),
        "call": run(spark, folder / "call", "product", None),
        "call over a function": run(spark, folder / "function", "once(product)", None),
    }
    spark.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
