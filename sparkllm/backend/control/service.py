"""The driver's Flight service: engine servers report to it, and lease what queries may spend."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

from pyarrow import flight

from sparkllm.backend.control.budget import ControlAddress
from sparkllm.backend.control.messages import REPORT, Report, write_grants
from sparkllm.backend.control.notice import NOTICE, Notices
from sparkllm.backend.control.queries import Queries
from sparkllm.backend.control.query import QueryProgress
from sparkllm.backend.control.timeline import Moment
from sparkllm.backend.token_check import TokenCheck

__all__ = ["ControlService"]


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
        self._queries = Queries()
        self._notices = Notices()

    def do_action(self, context: Any, action: flight.Action) -> Iterator[bytes]:
        """`report`: a Report in, the grants of its queries out; `notice`: a line for the user in, nothing out."""
        if action.type == NOTICE:
            self._notices.show(action.body.to_pybytes().decode(errors="replace"))
            return iter([b""])
        if action.type != REPORT:
            raise flight.FlightServerError(f"the action {REPORT} or {NOTICE} was expected, got {action.type!r}")
        report = Report.from_json(action.body.to_pybytes())
        with self._lock:
            return iter([write_grants(self._queries.take(report, time.monotonic()))])

    def progress(self) -> list[QueryProgress]:
        """Of the last 1,000 queries, the one told of last at the end."""
        with self._lock:
            return self._queries.progress(time.monotonic())

    def timeline(self, query: str) -> tuple[Moment, ...]:
        """What its engines had while it ran, by Spark's id of it; empty where none has told of it."""
        with self._lock:
            return self._queries.timeline(query)


def _tcp(host: str, port: int) -> str:
    bare = host.strip("[]")
    return f"grpc+tcp://{f'[{bare}]' if ':' in bare else bare}:{port}"
