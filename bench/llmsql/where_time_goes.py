"""Where the seconds of a query go: by Spark's stages, and in those that ask by what the Python workers noted.

planning           no stage runs: Catalyst, and Spark's driver between stages
other stages       reading, filtering, bringing equal prefixes together
the rest           the stages that ask, shared out as their Python workers spent their time (timed_worker.py)
"""

from __future__ import annotations

import json
import os
import uuid
from collections import defaultdict
from pathlib import Path

from pyspark.sql import SparkSession

__all__ = ["FOLDER", "WhereTimeGoes", "shares"]

FOLDER = "SPARKLLM_BENCH_TIMES"  # environment variable that names the folder to the workers

Interval = tuple[float, float]


class WhereTimeGoes:
    """Watches the queries of a session, one at a time.

    Args:
        folder: where workers leave what they noted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._group = folder, ""
        self.conf = {"spark.python.daemon.module": "bench.llmsql.timed_daemon"}  # of the session, made after this
        os.environ[FOLDER] = str(folder)

    def begin(self, spark: SparkSession) -> None:
        """The next query is what counts."""
        for old in self._folder.glob("*.json"):
            old.unlink()
        self._group = uuid.uuid4().hex
        spark.sparkContext.setJobGroup(self._group, "where time goes")

    def parts(self, spark: SparkSession, whole: float) -> dict[str, float]:
        """The seconds of each part of the query, which took `whole` of them."""
        noted = [json.loads(file.read_text(encoding="utf-8")) for file in self._folder.glob("*.json")]
        return shares(whole, _stages(spark, self._group), [(one["stage"], one["seconds"]) for one in noted])


def shares(whole: float, stages: dict[int, Interval], noted: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Seconds of each part, which sum to `whole`.

    >>> found = shares(10.0, {1: (1.0, 3.0), 2: (3.0, 9.0)}, [(2, {"engine": 8.0, "tokenising": 4.0})])
    >>> found == {"planning": 2.0, "other stages": 2.0, "engine": 4.0, "tokenising": 2.0}
    True
    """
    ask = {stage for stage, _ in noted}
    asking = _length([interval for stage, interval in stages.items() if stage in ask])
    busy = _length([*stages.values()])
    found = {"planning": max(0.0, whole - busy), "other stages": busy - asking}
    parts: dict[str, float] = defaultdict(float)
    for _, seconds in noted:
        for part, some in seconds.items():
            parts[part] += some
    total = sum(parts.values())
    return found | {part: asking * some / total for part, some in parts.items()}


def _length(intervals: list[Interval]) -> float:
    """Of their union."""
    length, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        length += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return length


def _stages(spark: SparkSession, group: str) -> dict[int, Interval]:
    """When the stages of a job group ran; those that were skipped are not in it."""
    tracker = spark.sparkContext.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    store = spark.sparkContext._jsc.sc().statusStore()
    found = {}
    for stage in {int(stage) for job in jobs if job is not None for stage in job.stageIds}:
        data = store.lastStageAttempt(stage)
        if data.submissionTime().isDefined() and data.completionTime().isDefined():
            begin, end = data.submissionTime().get(), data.completionTime().get()
            found[stage] = (begin.getTime() / 1000, end.getTime() / 1000)
    return found
