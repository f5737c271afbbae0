"""What a user does at a terminal, for tests/test_progress.py: queries that end well, fail, are cancelled, overlap."""

from __future__ import annotations

import sys
import threading
import time

from pyspark import InheritableThread
from pyspark.sql import SparkSession

import sparkllm

RATE = 4000  # tokens a second


def main(runtime_dir: str) -> None:
    spark = sparkllm.session(
        master="local[2]",
        engine="dry-run",
        dry_run_tokens_per_second=RATE,
        runtime_dir=runtime_dir,
        window_rows=64,
        max_window_rows=64,
        **{
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "true",
            "spark.ui.consoleProgress.update.interval": "100",
            "spark.executor.heartbeatInterval": "1s",
            "spark.sql.shuffle.partitions": "2",
            "spark.log.level": "OFF",
        },
    )
    print("MARK counted", flush=True)
    ask(spark, "counted", 500)
    print("MARK unknown", flush=True)
    rows = spark.range(400).rdd.map(lambda row: (f"this is a row of its own, with the number {row.id}",))
    spark.createDataFrame(rows, "review string").selectExpr("llm('classify', review) AS c").collect()
    print("MARK failing", flush=True)
    try:
        ask(spark, "failing", 300, "raise_error(concat('on purpose ', c))")
    except Exception:
        print("failed", flush=True)
    print("MARK cancelled", flush=True)
    threading.Timer(2.5, lambda: spark.sparkContext.cancelJobGroup("group")).start()
    spark.sparkContext.setJobGroup("group", "group")
    try:
        ask(spark, "cancelled", 5_000)
    except Exception:
        print("gone", flush=True)
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", "")
    print("MARK both", flush=True)
    both = [InheritableThread(target=ask, args=(spark, name, 250)) for name in ("first", "second")]
    for query in both:
        query.start()
    time.sleep(2)
    print("in between", flush=True)
    for query in both:
        query.join()
    print("MARK off", flush=True)
    spark.conf.set("spark.sparkllm.progress", "off")
    ask(spark, "quiet", 200)
    print("MARK end", flush=True)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("sparkllm-")]
    spark.stop()
    for thread in threads:
        thread.join(30)
        print(thread.name, "is alive" if thread.is_alive() else "has ended", flush=True)


def ask(spark: SparkSession, what: str, rows: int, then: str = "c") -> None:
    frame = spark.range(0, rows, 1, 1).selectExpr(f"concat('{what} is row number ', id, ' of many others') AS review")
    frame.selectExpr("llm('classify', review) AS c").selectExpr(f"{then} AS c").collect()


if __name__ == "__main__":
    main(sys.argv[1])
