"""What engines counted for a rewritten query: all that can be told of it without the Catalyst extension."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkllm.errors import SparkLLMError
from sparkllm.report import QueryReport

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["PlainReport", "last_plain_report"]

_TASKS = 32  # small ones, so that each host is likely to run one
_COUNTS = ("requests", "prompt_tokens", "cached_tokens", "output_tokens")


@dataclass(frozen=True)
class PlainReport(QueryReport):
    """The counters of one rewritten query, over all of its actions so far; rows, times and single calls are not known.

    Attributes:
        hosts: how many hosts were asked; one that ran no task of the question is missing.
    """

    hosts: int = 0

    def total(self, name: str) -> int:
        """One counter: `requests`, `prompt_tokens`, `cached_tokens`, `output_tokens`."""
        return (self.paid or {}).get(name, 0)

    def to_svg(self) -> str:
        """Nothing: which of the cached tokens are data is not known."""
        return ""

    def _lines(self) -> list[tuple[str, str]]:
        counts = self.paid or {}
        lines = [("LLM report", f"rewritten query {self.query}, by the engines of {self.hosts} host(s)")]
        names = [*_COUNTS, *(name for name in sorted(counts) if name not in _COUNTS and counts[name])]
        return lines + [(name.replace("_", " "), f"{counts.get(name, 0):,}") for name in names]


def last_plain_report(spark: SparkSession) -> PlainReport:
    """The counters of the session's last rewritten query; a small Spark job asks the hosts.

    Raises:
        SparkLLMError: there was no such query.
    """
    from sparkllm.plain_session import last_query

    planned = last_query(spark)
    if planned is None:
        raise SparkLLMError("no query with calls has been planned in this session; run one by sparkllm.sql(spark, ...)")
    application, query, config = planned.application, planned.query, planned.config

    def counted(batches: Iterator[Any]) -> Iterator[Any]:
        from sparkllm.backend.paid import paid

        for _ in batches:
            counts = json.dumps(paid(application, query, config) or {})
            yield pa.RecordBatch.from_pydict({"host": [socket.gethostname()], "counts": [counts]})

    rows = spark.range(0, _TASKS, 1, _TASKS).mapInArrow(counted, "host string, counts string").collect()
    hosts = {row.host: json.loads(row.counts) for row in rows}
    totals: Counter[str] = Counter()
    for counts in hosts.values():
        totals.update(counts)
    return PlainReport(planned.number, 0.0, True, None, (), dict(totals), hosts=len(hosts))
