"""A session of sparkllm whose queries are timed, to the parts where their seconds go."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

import sparkllm
from bench.llmsql.where_time_goes import WhereTimeGoes
from sparkllm.backend.client import EngineClient, connect

__all__ = ["TimedSession"]

_COUNTS = ("rows", "requests", "prompt_tokens", "cached_tokens", "static_tokens", "cached_data_tokens",
           "output_tokens", "null_fields", "too_long", "truncated", "engine_error", "engine_killed")  # fmt: skip
_QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}


class TimedSession:
    """One Spark session, with nothing that is learnt or kept from query to query.

    Args:
        settings: of `sparkllm.session`.
    """

    def __init__(self, **settings: Any) -> None:
        root = str(Path(__file__).parents[2])
        # Python workers find this package there, and keep what its modules hold from task to task.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._folder = tempfile.TemporaryDirectory()
        self._where = WhereTimeGoes(Path(self._folder.name))
        kept: dict[str, Any] = {"ledger": "off", "progress": "off", "optimizer_learn_selectivity": False}
        self.spark: SparkSession = sparkllm.session(**settings, **kept, **_QUIET, **self._where.conf)

    def close(self) -> None:
        """End engines and session."""
        sparkllm.stop(self.spark)
        self.spark.stop()
        self._folder.cleanup()

    def engine(self) -> EngineClient:
        """The one of the settings as they are now."""
        settings = {k: v for k, v in self.spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
        return connect(sparkllm.LLMConfig.from_spark(settings), None, self.spark.sparkContext.applicationId)

    def seconds(self, sql: str) -> float:
        """From a query's text to its last row."""
        began = time.perf_counter()
        self.spark.sql(sql).write.format("noop").mode("overwrite").save()
        return time.perf_counter() - began

    def measure(self, sql: str) -> dict[str, Any]:
        """A query that finds its engine with an empty prefix cache: its seconds, what was asked, and `where`."""
        self.engine().reset_prefix_cache()
        self._where.begin(self.spark)
        seconds = self.seconds(sql)
        report = sparkllm.last_report(self.spark)
        counts = {count: report.total(count) for count in _COUNTS}
        return {"seconds": seconds, **counts, "where": self._where.parts(self.spark, seconds)}
