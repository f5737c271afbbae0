"""All queries as the driver sees them: reports in, grants out."""

from __future__ import annotations

from collections import OrderedDict

from sparkllm.backend.control.messages import Grant, Report
from sparkllm.backend.control.query import Query, QueryProgress
from sparkllm.backend.control.timeline import Moment

__all__ = ["Queries"]

# Those that are remembered, as in an engine server.
_MOST = 1000


class Queries:
    """Not thread-safe. `now` is in seconds, on any clock that only goes forward."""

    def __init__(self) -> None:
        self._queries: OrderedDict[str, Query] = OrderedDict()
        self._numbers: dict[str, int] = {}

    def take(self, report: Report, now: float) -> dict[str, Grant]:
        """What the engine that reports may do, by query."""
        # One that was held up on its way tells what is no longer true.
        if report.number <= self._numbers.get(report.engine, -1):
            return {}
        self._numbers[report.engine] = report.number
        return {
            name: self._query(name, now).report(report.engine, account, now)
            for name, account in report.accounts.items()
        }

    def progress(self, now: float) -> list[QueryProgress]:
        """Of the last 1,000 queries, the one told of last at the end."""
        return [query.progress(now) for query in self._queries.values()]

    def timeline(self, name: str) -> tuple[Moment, ...]:
        """Of one query; empty where no engine has told of one."""
        return self._queries[name].timeline() if name in self._queries else ()

    def _query(self, name: str, now: float) -> Query:
        query = self._queries.setdefault(name, Query(name, now))
        self._queries.move_to_end(name)
        if len(self._queries) > _MOST:
            self._queries.popitem(last=False)
        return query
