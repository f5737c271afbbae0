"""Python workers and executors that are killed, and speculative tasks, on two executors that share a real engine.

Prints what came of it as JSON. A Spark context of its own, so a process of its own:
`python -m tests.lost_workers FOLDER`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from pyspark.sql import SparkSession

from sparkllm import LLMConfig
from sparkllm.backend.client import EngineClient, connect
from sparkllm.spark_session import last_reports, session
from tests.optimizer.lost_executor import executors, own_spark_home

ROWS = 1200
SQL = "SELECT id, llm('Continue the text.', text) AS answer FROM t"


def python_worker() -> int:
    """A worker that a daemon of Spark's has forked, on the older executor."""
    for process in psutil.Process(executors()[0]).children(recursive=True):
        with suppress(psutil.Error):
            parent = process.parent()
            if parent is not None and "pyspark.daemon" in " ".join(parent.cmdline()):
                return int(process.pid)
    raise LookupError("expected a Python worker under way")


def kill(engine: EngineClient, victim: Callable[[], int]) -> Callable[[], int]:
    """Kill a process once a third of the rows is answered; what is returned waits and says how many were."""
    before, at = engine.counters()["finished"], []

    def run() -> None:
        while (count := engine.counters()["finished"] - before) < ROWS // 3:
            time.sleep(0.01)
        psutil.Process(victim()).kill()
        at.append(count)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> int:
        thread.join(60)
        return at[0] if at else -1

    return wait


def run(spark: SparkSession, engine: EngineClient, folder: Path, victim: Callable[[], int] | None) -> dict[str, Any]:
    """The query with a ledger of its own."""
    spark.conf.set("spark.sparkllm.ledger", str(folder))
    before, began = engine.counters(), time.monotonic()
    killed = kill(engine, victim) if victim is not None else lambda: 0
    rows = {row.id: row.answer for row in spark.sql(SQL).collect()}
    after = engine.counters()
    return {
        "rows": rows,
        "requests": after["requests"] - before["requests"],
        "finished": after["finished"] - before["finished"],
        "from_ledger": after["from_ledger"] - before["from_ledger"],
        "killed_at": killed(),
        "seconds": round(time.monotonic() - began, 1),
        "succeeded": json.loads(last_reports(spark)[-1])["succeeded"],
    }


def main(folder: Path) -> None:
    own_spark_home(folder / "spark")
    (folder / "engines").mkdir(mode=0o700)
    spark = session(
        master="local-cluster[2,1,1024]",
        runtime_dir=str(folder / "engines"),
        kv_cache_gib=1,
        max_tokens=8,
        **{
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.memory": "1g",
            "spark.sparkllm.optimizer.coLocate": "false",
            "spark.speculation": "true",
            "spark.speculation.multiplier": "1.01",
            "spark.speculation.quantile": "0.5",
            "spark.speculation.interval": "50ms",
            "spark.speculation.minTaskRuntime": "100ms",
        },
    )
    # Three short tasks and a long one, which Spark runs a second time beside itself.
    tasks = [spark.range(start, stop, 1, 1) for start, stop in ((0, 20), (20, 40), (40, 60), (60, ROWS))]
    table = tasks[0].union(tasks[1]).union(tasks[2]).union(tasks[3])
    table.selectExpr("id", "concat('the number ', id, ' and what comes next') AS text").createOrReplaceTempView("t")
    settings = {k: v for k, v in spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
    engine = connect(LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)
    found = {
        "speculative tasks": run(spark, engine, folder / "one", None),
        "python worker": run(spark, engine, folder / "two", python_worker),
        "executor": run(spark, engine, folder / "three", lambda: executors()[0]),
    }
    spark.stop()
    expected = found["speculative tasks"]["rows"]
    for one in found.values():
        one["right"] = one.pop("rows") == expected and len(expected) == ROWS
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
