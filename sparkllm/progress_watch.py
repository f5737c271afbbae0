"""The thread of the driver's Python that draws a bar while queries with calls run."""

from __future__ import annotations

import atexit
import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sparkllm.progress_line import Line, Pace, Running

if TYPE_CHECKING:
    from sparkllm.backend.control.query import QueryProgress
    from sparkllm.progress_display import Display

__all__ = ["watch"]

_TICK_MS = 250
_IDLE_MS = 10_000
# As Spark's own bar: what ends sooner is not worth a flash.
_FIRST_SECONDS = 0.5

_watched: set[str] = set()
_lock = threading.Lock()


def watch(application: str, calls: Any, told: Callable[[], list[QueryProgress]]) -> None:
    """Draw the application's queries from now on, until it ends; once for each application.

    Args:
        application: Spark's id of it.
        calls: RunningCalls.scala.
        told: what engines have told of the queries.
    """
    with _lock:
        if application in _watched:
            return
        _watched.add(application)
    watcher = _Watcher(calls, told)
    threading.Thread(target=watcher.run, name="sparkllm-progress", daemon=True).start()
    atexit.register(watcher.close)


class _Watcher:
    def __init__(self, calls: Any, told: Callable[[], list[QueryProgress]]) -> None:
        self._calls, self._told = calls, told
        self._display: Display | None = None
        self._paces: dict[str, Pace] = {}
        self._closed = False

    def run(self) -> None:
        """Ends with the application. A bar is never worth an error: one of ours, or a lost JVM, ends it silently."""
        with contextlib.suppress(Exception):
            self._follow()
        self.close()

    def close(self) -> None:
        """Take away what is drawn, for good."""
        self._closed = True
        with contextlib.suppress(Exception):
            if self._display is not None:
                self._display.draw([])

    def _follow(self) -> None:
        changes, running, ours = 0, False, False
        while not self._closed:
            text = self._calls.next(changes, _TICK_MS if running else _IDLE_MS, ours)
            if not text:
                return
            read = json.loads(text)
            changes, queries = read["changes"], [Running.from_json(raw) for raw in read["queries"]]
            running, ours = any(query.runs for query in queries), self._draw(queries)

    def _draw(self, queries: list[Running]) -> bool:
        """Whether there is, or soon will be, something that Spark's own bar would write over."""
        if self._display is None and not queries:
            return False
        from sparkllm.progress_display import display_here  # late: most of what rich is

        display = self._display = self._display or display_here()
        wanted = ("on",) if display.on_request else ("on", "auto")
        asked = [query for query in queries if query.progress in wanted]
        shown = [query for query in asked if query.seconds >= _FIRST_SECONDS]
        lines = list(zip(shown, self._lines(shown), strict=True))
        if not self._closed:
            display.draw([line for query, line in lines if query.runs], [line for q, line in lines if not q.runs])
        if not any(query.runs for query in queries):
            self._display, self._paces = None, {}  # standard error may be another one by the next query
        return any(query.runs for query in asked) and not display.on_request

    def _lines(self, queries: list[Running]) -> list[Line]:
        told, now = {one.query: one.counters for one in self._told()} if queries else {}, time.monotonic()
        return [
            self._paces.setdefault(query.query, Pace()).line(query, told.get(query.query), now) for query in queries
        ]
