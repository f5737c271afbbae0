"""The driver's Flight service: engine servers report to it, and lease what queries may spend."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from pyarrow import flight

from sparkllm.backend.control.budget import ControlAddress
from sparkllm.backend.control.messages import REPORT, Grant, Report, write_grants
from sparkllm.backend.control.query import Query, QueryProgress
from sparkllm.backend.token_check import TokenCheck

__all__ = ["ControlService"]

# Queries that are remembered, as in an engine server.
_QUERIES = 1000


class ControlService(flight.FlightServerBase):
    """Serves as soon as it is made, from gRPC's threads, until `shutdown`.

    Connections are not encrypted, as Spark's own are not unless told so: whoever can read the cluster's network can
    read the token. What it opens is counters and leases, no data and no code.
    """

    def __init__(self, host: str, bind: str, port: int = 0) -> None:
        """`host` is what executors call the driver, `bind` the address to listen at; port 0 takes a free one."""
        token = secrets.token_hex(32)
        super().__init__(_tcp(bind, port), middleware={"token": TokenCheck(token)})
        self.address = ControlAddress(_tcp(host, self.port), token)
        self._lock = threading.Lock()
        self._queries: OrderedDict[str, Query] = OrderedDict()
        self._numbers: dict[str, int] = {}

    def do_action(self, context: Any, action: flight.Action) -> Iterator[bytes]:
        """`report`: a Report in, the grants of its queries out."""
        if action.type != REPORT:
            raise flight.FlightServerError(f"the action {REPORT} was expected, got {action.type!r}")
        report = Report.from_json(action.body.to_pybytes())
        with self._lock:
            return iter([write_grants(self._take(report, time.monotonic()))])

    def progress(self) -> list[QueryProgress]:
        """Of the last 1,000 queries, the one told of last at the end."""
        now = time.monotonic()
        with self._lock:
            return [query.progress(now) for query in self._queries.values()]

    def _take(self, report: Report, now: float) -> dict[str, Grant]:
        # One that was held up on its way tells what is no longer true.
        if report.number <= self._numbers.get(report.engine, -1):
            return {}
        self._numbers[report.engine] = report.number
        return {
            name: self._query(name, now).report(report.engine, account, now)
            for name, account in report.accounts.items()
        }

    def _query(self, name: str, now: float) -> Query:
        query = self._queries.setdefault(name, Query(name, now))
        self._queries.move_to_end(name)
        if len(self._queries) > _QUERIES:
            self._queries.popitem(last=False)
        return query


def _tcp(host: str, port: int) -> str:
    bare = host.strip("[]")
    return f"grpc+tcp://{f'[{bare}]' if ':' in bare else bare}:{port}"
