"""Queries that share an engine of a fixed speed: a small one beside a large one, and eight at once, one cancelled."""

from __future__ import annotations

import statistics
import time
from typing import Any

from pyspark import InheritableThread
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import EngineClient, connect

__all__ = ["fair"]

SMALL, REPEATS, QUERIES = 100, 5, 8
ROWS, WINDOW_SECONDS = 5000, 10  # of each of the eight


class Query(InheritableThread):
    """One query in a thread and a job group of its own; all its prompts are different."""

    def __init__(self, spark: SparkSession, name: str, rows: int) -> None:
        super().__init__(target=self._ask, daemon=True)
        self.seconds, self.answered, self.error = 0.0, 0, ""
        self.spark, self.group, self.rows = spark, name, rows

    def _ask(self) -> None:
        began = time.perf_counter()
        self.spark.sparkContext.setJobGroup(self.group, self.group, interruptOnCancel=True)
        text = f"concat('{self.group} ', id, ' says that it is as good as the last one')"
        try:
            table = f"(SELECT llm('Is it good?', {text}) AS a FROM range(0, {self.rows}, 1, 1))"
            [row] = self.spark.sql(f"SELECT count(a) AS answered FROM {table}").collect()
            self.answered = row.answered
        except Exception as error:
            self.error = type(error).__name__
        self.seconds = time.perf_counter() - began


def fair(spark: SparkSession, large: int, rate: float) -> dict[str, Any]:
    """Seconds of small queries alone and beside a large one; shares of eight; what a cancelled one leaves."""
    settings = {"spark.sparkllm.dryRunTokensPerSecond": str(rate), "spark.sparkllm.optimizer.coLocate": "false"}
    for key, value in settings.items():
        spark.conf.set(key, value)
    config = {key: value for key, value in spark.conf.getAll.items() if key.startswith("spark.sparkllm.")}
    engine = connect(sparkllm.LLMConfig.from_spark(config), None, spark.sparkContext.applicationId)
    figures = {"large": large, "small": SMALL, "rate": rate, **beside(spark, engine, large), **eight(spark, engine)}
    for key in settings:
        spark.conf.unset(key)
    return figures


def beside(spark: SparkSession, engine: EngineClient, large: int) -> dict[str, Any]:
    """Small queries one after the other: first alone, then beside the large one."""
    asked(spark, "warm up")
    alone = [asked(spark, f"alone {i}") for i in range(REPEATS)]
    big = Query(spark, "large", large)
    before = engine.counters()["finished"]
    big.start()
    until(lambda: engine.counters()["finished"] > before + 1000)
    together = [asked(spark, f"beside {i}") for i in range(REPEATS)]
    still = big.is_alive()
    spark.sparkContext.cancelJobGroup("large")
    big.join()
    return {"alone_seconds": spread(alone), "beside_seconds": spread(together), "large_ran_all_the_time": still}


def asked(spark: SparkSession, name: str) -> float:
    """Seconds of one small query."""
    query = Query(spark, name, SMALL)
    query.start()
    query.join()
    assert query.answered == SMALL, query.error
    return query.seconds


def eight(spark: SparkSession, engine: EngineClient) -> dict[str, Any]:
    """Equal queries: what each gets of ten seconds in which all run; then one is cancelled, and the rest end."""
    together(spark, "warm up", 2 * SMALL)  # Python workers, which Spark then keeps
    known = set(seen(engine))
    queries = together(spark, "one of eight", ROWS, wait=False)
    until(lambda: len(set(seen(engine)) - known) == QUERIES and all(map(asking, new(engine, known).values())))
    before = new(engine, known)
    time.sleep(WINDOW_SECONDS)
    after = new(engine, known)
    shares = [after[number]["finished"] - before[number]["finished"] for number in before]
    whole = all(map(asking, after.values()))
    spark.sparkContext.cancelJobGroup(queries[0].group)
    stopped = stops(engine, list(after))
    for query in queries:
        query.join()
    others = queries[1:]
    return {
        "queries": QUERIES,
        "shares": shares,
        "all_ran_all_the_time": whole,
        "jain": sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)),
        "cancelled_stops_after_seconds": stopped,
        "cancelled": queries[0].error,
        "others_whole": sum(query.answered == ROWS for query in others),
        "others_seconds": spread([query.seconds for query in others]),
    }


def together(spark: SparkSession, name: str, rows: int, wait: bool = True) -> list[Query]:
    """Equal queries, begun at once."""
    queries = [Query(spark, f"{name} {i}", rows) for i in range(QUERIES)]
    for query in queries:
        query.start()
    for query in queries if wait else ():
        query.join()
    return queries


def seen(engine: EngineClient, most: int = 60) -> dict[str, dict[str, int]]:
    """What each query has sent so far; Spark numbers its queries."""
    counts = {str(i): engine.counters(str(i)) for i in range(most)}
    return {number: count for number, count in counts.items() if count["requests"]}


def new(engine: EngineClient, known: set[str]) -> dict[str, dict[str, int]]:
    """Those that are not known."""
    return {number: count for number, count in seen(engine).items() if number not in known}


def asking(count: dict[str, int]) -> bool:
    """Whether the query has not had all its answers."""
    return count["finished"] < ROWS


def left(count: dict[str, int]) -> int:
    """Requests that are inside the engine."""
    return count["requests"] - count["finished"] - count["failed"] - count["aborted"]


def stops(engine: EngineClient, ids: list[str]) -> float:
    """Seconds from now until one of these queries has no request inside the engine and gets none."""
    began = time.perf_counter()
    last: dict[str, dict[str, int]] = {}
    while time.perf_counter() - began < 30:
        now = {number: engine.counters(number) for number in ids}
        at = time.perf_counter() - began
        if any(not left(count) and count["aborted"] for count in now.values()):
            return at
        last = now
        time.sleep(0.05)
    raise TimeoutError(f"no query stopped: {last}")


def until(reached: Any, seconds: float = 240) -> None:
    """Wait."""
    began = time.perf_counter()
    while not reached():
        if time.perf_counter() - began > seconds:
            raise TimeoutError
        time.sleep(0.1)


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest, largest."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}
