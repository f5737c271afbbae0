"""The engine server's client of the channel: once a second it tells the driver what it has counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
from pyarrow import flight

from sparkllm.backend.control.budget import ControlAddress, Terms
from sparkllm.backend.control.looks import Looks
from sparkllm.backend.control.messages import REPORT, Account, Grant, Report, read_grants
from sparkllm.backend.control.spending import Spending
from sparkllm.backend.control.timeline import Load
from sparkllm.backend.log_line import log_line
from sparkllm.backend.wire import AUTHORIZATION

__all__ = ["Reporter"]

_PERIOD_SECONDS = 1.0
# Between two exchanges for requests that wait for what others may give back.
_AGAIN_SECONDS = 0.1
_CALL_SECONDS = 5.0
# Requests that wait for a budget do so for this long when the driver does not answer.
_PATIENCE_SECONDS = 30.0
_BROKEN = (flight.FlightError, pa.ArrowException, OSError, ValueError)


class _Open:
    """How long an engine has had requests of a query."""

    def __init__(self) -> None:
        self.streams = 0
        self._seconds = 0.0
        self._since = 0.0

    def change(self, by: int) -> None:
        self._seconds = self.seconds
        self._since = time.monotonic()
        self.streams += by

    @property
    def seconds(self) -> float:
        return self._seconds + (time.monotonic() - self._since if self.streams else 0.0)


class Reporter:
    """Made from any thread; everything else happens on the engine's event loop.

    Without the driver the engine goes on, with one line in its log; queries with a budget then use up what they have
    leased and end.
    """

    def __init__(
        self,
        address: ControlAddress,
        loop: asyncio.AbstractEventLoop,
        counts: Callable[[], Mapping[str, Counter[str]]],
        load: Callable[[], Load],
        endpoint: bool = False,
    ) -> None:
        """`counts` gives the counters of each query, `load` what the engine has now; at any time on the loop.

        `endpoint`: the engine only passes requests on to a server.
        """
        self.engine = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._address = address
        self._loop = loop
        self._counts = counts
        self._endpoint = endpoint
        self._told: dict[str, Account] = {}
        self._open: dict[str, _Open] = {}
        self._looks = Looks(loop, load)
        self._spending: dict[str, Spending] = {}
        self._number = 0
        self._wake = asyncio.Event()
        self._lost_since = 0.0
        self._client: flight.FlightClient | None = None
        self._calls = ThreadPoolExecutor(1, "sparkllm-control")
        self._task: asyncio.Task[None] | None = None
        loop.call_soon_threadsafe(self._start)

    def spending(self, query: str, terms: Terms) -> Spending | None:
        """The query's part of its budget, None where it has none; from any thread, once the query has counters."""
        if terms.budget is None:
            return None
        return self._spending.setdefault(query, Spending(terms.budget, self._wake.set))

    def count_stream(self, query: str, change: int) -> None:
        """A stream has requests (1), or has none any more (-1)."""
        times = self._open.setdefault(query, _Open())
        times.change(change)
        if times.streams:
            self._looks.begin(query)
        else:
            self._looks.end(query)
            self._wake.set()  # the last word on the query should not wait

    def _start(self) -> None:
        self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        tick = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.0, tick + _PERIOD_SECONDS - time.monotonic()))
            self._wake.clear()
            second_passed = time.monotonic() - tick >= _PERIOD_SECONDS
            tick = time.monotonic() if second_passed else tick
            try:
                granted = await self._exchange(second_passed)
            except Exception:  # a mistake of ours must not leave requests waiting for ever
                traceback.print_exc()
                self._lost(RuntimeError("see the traceback above"))
                granted = False
            if any(spending.wanting for spending in list(self._spending.values())):
                await asyncio.sleep(0 if granted else _AGAIN_SECONDS)
                self._wake.set()

    async def _exchange(self, second_passed: bool) -> bool:
        """Tell what is new; whether anything was granted."""
        before = {*self._told, *self._open, *list(self._spending)}
        counts = {query: dict(counter) for query, counter in self._counts().items()}
        self._forget(before - set(counts))
        accounts = {query: self._account(query, counter, second_passed) for query, counter in counts.items()}
        news = {query: account for query, account in accounts.items() if self._is_news(query, account)}
        if not news:
            return False
        self._number += 1
        report = Report(self.engine, self._number, news)
        try:
            grants = await self._loop.run_in_executor(self._calls, self._call, report.to_json())
        except _BROKEN as error:
            self._lost(error)
            return False
        self._found()
        self._told |= news
        for query in set(grants) & set(self._spending):
            self._spending[query].take(grants[query])
        return any(any(grant.extra.values()) for grant in grants.values())

    def _account(self, query: str, counters: dict[str, int], second_passed: bool) -> Account:
        times, spending = self._open.get(query, _Open()), self._spending.get(query)
        open_, series = times.streams > 0, self._looks.series(query)
        account = Account(counters, times.seconds, open_, series=series, endpoint=self._endpoint)
        if spending is None:
            return account
        holdings = spending.holdings(second_passed, idle=not times.streams)
        return replace(account, budget=spending.budget, holdings=holdings)

    def _is_news(self, query: str, account: Account) -> bool:
        known = self._told.get(query)
        return account.open or (account != known and (known is not None or any(account.counters.values())))

    def _forget(self, queries: Collection[str]) -> None:
        """The engine does not count them any more."""
        for query in queries:
            self._told.pop(query, None)
            self._open.pop(query, None)
            self._spending.pop(query, None)
            self._looks.forget(query)

    def _call(self, body: bytes) -> dict[str, Grant]:
        if self._client is None:
            # The driver is inside the cluster: a proxy to the world outside does not know it.
            self._client = flight.FlightClient(self._address.location, generic_options=[("grpc.enable_http_proxy", 0)])
        headers = [(AUTHORIZATION.encode(), f"Bearer {self._address.token}".encode())]
        options = flight.FlightCallOptions(timeout=_CALL_SECONDS, headers=headers)
        return read_grants(next(self._client.do_action(flight.Action(REPORT, body), options)).body.to_pybytes())

    def _lost(self, error: Exception) -> None:
        now = time.monotonic()
        if not self._lost_since:
            self._lost_since = now
            reason = str(error).partition("\n")[0][:200]
            log_line(
                f"the driver at {self._address.location} does not answer ({reason}); the engine goes on, "
                f"queries with a budget with what they have leased",
                sys.stderr,
            )
        if now - self._lost_since > _PATIENCE_SECONDS:
            for spending in list(self._spending.values()):
                if spending.wanting:
                    spending.end(f"the driver at {self._address.location} does not answer, so no more is leased", False)

    def _found(self) -> None:
        if self._lost_since:
            log_line("the driver answers again", sys.stderr)
        self._lost_since = 0.0
