"""Queries under a placement, on a standalone cluster with made-up GPUs; prints what came of them as JSON.

A Spark context of its own, so a process of its own: `python -m tests.optimizer.gpu_pools FOLDER`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

import sparkllm
from sparkllm.backend.placement import Bucket, Plan
from sparkllm.spark_session import last_reports, register
from sparkllm.udf.iterator_udf import iterator_udf
from tests.backend.placement.two_kinds import LONG, SHORT, measured_plan
from tests.optimizer.standalone import Cluster, status

ROWS = 6_000
CALL = "llm('Is it good?', product, review)"
L4, A100 = "gpu_l4", "gpu_a100"


def a_plan(speed: float = 1000, rows: int = ROWS) -> Plan:
    """Long rows are for the A100, which is done with them before the L4 with the short ones, and takes some."""
    rates = {("L4", SHORT): speed, ("A100-80", SHORT): speed, ("L4", LONG): speed / 100, ("A100-80", LONG): speed}
    buckets = (Bucket(SHORT, 5, rows * 3 / 4, most_bytes=SHORT), Bucket(LONG, 5, rows / 4))
    return measured_plan(buckets, rates, {"L4": 1, "A100-80": 1})


def stand_in(folder: Path, slow: Mapping[str, float] | None = None) -> Any:
    """An `__llm_eval` that answers "stage partition resources digest", and leaves a file for each task.

    It says that a row takes 40 ms on an L4 and 10 on any other; in truth a task takes `slow` seconds by its resource.
    """
    seconds = dict(slow or {})
    folder.mkdir()
    files = str(folder)

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        import hashlib

        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        resources = ",".join(context.resources()) or "none"
        where = f"{context.stageId()} {context.partitionId()} {resources}"
        Path(files, f"{context.taskAttemptId()}-{resources}").touch()
        time.sleep(seconds.get(resources, 0.0))
        for batch in batches:
            texts = ["|".join(filter(None, row.values())) for row in batch[1].to_pylist()]
            answers = pa.array([f"{where} {hashlib.md5(text.encode()).hexdigest()}" for text in texts], pa.string())
            busy = [len(texts) * (40 if "l4" in resources else 10)] + [0] * len(texts)
            columns = [answers, pa.nulls(len(texts), pa.string()), pa.array(busy[: len(texts)], pa.int32())]
            yield pa.StructArray.from_arrays(columns, ["value", "error", "busy_ms"])

    kinds = {"value": StringType(), "error": StringType(), "busy_ms": IntegerType()}
    return iterator_udf(llm_eval, StructType([StructField(name, kind) for name, kind in kinds.items()]))


def run(spark: SparkSession, frame: DataFrame) -> dict[str, Any]:
    """Run a query of id, bytes, expected digest and answer, and say which rows were asked where."""
    start = time.monotonic()
    rows: Any = frame.toPandas()
    seconds = time.monotonic() - start
    parts = rows.answer.str.split(" ", expand=True)
    report = json.loads(last_reports(spark, 1)[0])
    return {
        "plan": frame._jdf.queryExecution().optimizedPlan().toString(),  # type: ignore[operator]
        "executed": frame._jdf.queryExecution().executedPlan().toString(),  # type: ignore[operator]
        "rows": len(rows),
        "ids": sorted(rows.id) == list(range(len(rows))),
        "rows in two stages": int((rows.second.str.split(" ").str[0] != parts[0]).sum()) if "second" in rows else 0,
        "right": bool((parts[3] == rows.expected).all()),
        "resources": dict(Counter(parts[2])),
        "long_on": sorted(set(parts[2][rows.bytes > SHORT])),
        "slots": int((parts[0] + " " + parts[1]).nunique()),
        "pools": [call["pools"] for call in report["calls"]],
        "stages": stages(spark, {int(s) for s in parts[0]}),
        "seconds": round(seconds, 1),
    }


def stages(spark: SparkSession, asked: set[int]) -> list[dict[str, Any]]:
    """From Spark's own status: the resources of the executors that ran the tasks of each stage, and which asked."""
    url = spark.sparkContext.uiWebUrl
    assert url is not None
    profiles = {p["id"]: p for p in status(url, "environment")["resourceProfiles"]}
    kinds = {
        e["id"]: [r for r in profiles[e["resourceProfileId"]]["executorResources"] if r.startswith("gpu")]
        for e in status(url, "allexecutors")
    }
    found = []
    for stage in sorted(asked):
        for attempt in status(url, f"stages/{stage}"):
            tasks = status(url, f"stages/{stage}/{attempt['attemptId']}/taskList?length=100000")
            done = [t for t in tasks if t["status"] == "SUCCESS"]
            ran_on = sorted({",".join(kinds[t["executorId"]]) or "none" for t in done})
            found.append({"stage": stage, "tasks": len(done), "ran_on": ran_on})
    return found


def when_asked(folder: Path, resource: str, action: Callable[[], None], tasks: int = 3) -> Callable[[], int]:
    """`action` as soon as so many tasks have begun on executors with this resource; what is returned says how many."""
    begun: list[int] = []

    def watch() -> None:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            found = len(list(folder.glob(f"*-{resource}")))
            if found >= tasks:
                action()
                begun.append(found)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()

    def wait() -> int:
        thread.join()
        return begun[0] if begun else 0

    return wait


def table(spark: SparkSession, folder: Path) -> None:
    """`t`, where one row in four is long, and 40 of its rows in `small`, 1,200 in `few`."""
    noise = f"aggregate(sequence(1, {LONG // 32}), 'review ', (text, n) -> concat(text, md5(concat(id, ' ', n))))"
    spark.range(ROWS).selectExpr(
        "id",
        "concat('product ', id % 60) AS product",
        f"if(id % 4 = 0, {noise}, concat('review ', md5(string(id)))) AS review",
    ).selectExpr(
        "*", "octet_length(product) + octet_length(review) AS bytes", "md5(concat(product, '|', review)) AS expected"
    ).repartition(4).write.parquet(str(folder))
    spark.read.parquet(str(folder)).createOrReplaceTempView("t")
    spark.sql("SELECT * FROM t WHERE id < 40").coalesce(2).write.parquet(f"{folder}-small")
    spark.read.parquet(f"{folder}-small").createOrReplaceTempView("small")
    spark.sql("SELECT * FROM t WHERE id < 1200").write.parquet(f"{folder}-few")
    spark.read.parquet(f"{folder}-few").createOrReplaceTempView("few")


def a_session(master: str, engines: Path) -> SparkSession:
    engines.mkdir(mode=0o700)
    return sparkllm.session(
        model="demo",
        master=master,
        kv_cache_gib=1,
        ledger="off",
        runtime_dir=str(engines),
        pool_wait_seconds=2,
        **{
            "spark.ui.port": "0",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.dynamicAllocation.enabled": "true",
            "spark.dynamicAllocation.shuffleTracking.enabled": "true",
            "spark.dynamicAllocation.maxExecutors": "2",
            "spark.executor.cores": "1",
            "spark.executor.memory": "600m",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.execution.arrow.pyspark.enabled": "true",
        },
    )


def asked(
    spark: SparkSession, log: Path, sql: str, slow: Mapping[str, float] | None = None, speed: float = 1000
) -> dict[str, Any]:
    """What became of a query under the plan."""
    register(spark, _function=stand_in(log, slow))
    with a_plan(speed).on(spark):
        found = run(spark, spark.sql(sql))
    print(log.name, found["seconds"], found["resources"], found["pools"], file=sys.stderr)
    return found


def waits(spark: SparkSession, folder: Path, sql: str, cluster: Cluster) -> dict[str, Any]:
    """No worker offers an L4 any more; the query is cancelled after a while."""
    cluster.kill("third")
    register(spark, _function=stand_in(folder / "waits"))
    spark.sparkContext.setJobGroup("waits", "waits", interruptOnCancel=True)
    threading.Timer(6, lambda: spark.sparkContext.cancelJobGroup("waits")).start()
    with a_plan().on(spark):
        try:
            spark.sql(sql).collect()
        except Exception as error:
            return {"ended": "cancelled" in str(error).lower()}
    return {"ended": False}


def with_engine(spark: SparkSession, engines: Path) -> dict[str, Any]:
    """The demo model on this machine's CPU, with and without the plan; two executors, one engine."""
    from sparkllm.udf.arrow import llm_eval

    register(spark, _function=llm_eval)
    frame = spark.sql("SELECT id, llm('classify', product, review) AS answer FROM few")
    with a_plan().on(spark):
        start = time.monotonic()
        under_plan: Any = spark.sql("SELECT id, llm('classify', product, review) AS answer FROM few").toPandas()
        seconds = time.monotonic() - start
        report = sparkllm.last_report(spark)
    without: Any = frame.toPandas()
    both = under_plan.merge(without, on="id")
    return {
        "rows": len(under_plan),
        "ids": sorted(under_plan.id) == sorted(without.id),
        "equal": int((both.answer_x == both.answer_y).sum()),
        "answered": int(under_plan.answer.notna().sum()),
        "pools": dict(report.calls[0].pools),
        "report": str(report),
        "engines": len(list(engines.glob("*/state.json"))),
        "seconds": round(seconds, 1),
    }


def main(folder: Path) -> None:
    sql = f"SELECT id, bytes, expected, {CALL} AS answer FROM t"
    small = sql.replace("FROM t", "FROM small")
    two = sql.replace(" FROM", ", llm('Is it cheap?', product, review) AS second FROM")
    found = {}
    with Cluster(folder / "cluster") as cluster:
        for name, resource in (("first", L4), ("second", A100)):
            cluster.offer(name, resource)
        spark = a_session(cluster.master, folder / "engines")
        table(spark, folder / "t")
        found["two pools"] = asked(spark, folder / "two", sql)
        spark.conf.set("spark.sql.adaptive.enabled", "false")
        found["not adaptive"] = asked(spark, folder / "not adaptive", sql)
        spark.conf.unset("spark.sql.adaptive.enabled")
        found["two calls"] = asked(spark, folder / "calls", two)
        found["other speed"] = asked(spark, folder / "replanned", sql, slow={L4: 0.8, A100: 0.2}, speed=10)
        found["small"] = asked(spark, folder / "small", small)
        found["limit"] = asked(spark, folder / "limit", f"SELECT * FROM ({sql}) WHERE answer LIKE '%a%' LIMIT 5")
        cluster.offer("third", L4)
        killer = when_asked(folder / "killed", L4, lambda: cluster.kill("first"))
        found["killed"] = asked(spark, folder / "killed", sql, slow={L4: 0.3, A100: 0.3})
        found["killed"]["killed_after"] = killer()
        if find_spec("vllm"):
            found["engine"] = with_engine(spark, folder / "engines")
        found["waits"] = waits(spark, folder, sql, cluster)
        sparkllm.stop(spark)
        spark.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
