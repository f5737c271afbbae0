"""The engine's side of timelines: one look after another, as long as a query has requests here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from sparkllm.backend.control.timeline import Load, Recorder, Series

__all__ = ["Looks"]

_SECONDS = 0.05  # some microseconds each; the mean of those within a period counts


class Looks:
    """Belongs to the engine's event loop; `load` tells what the engine has now."""

    def __init__(self, loop: asyncio.AbstractEventLoop, load: Callable[[], Load]) -> None:
        self._loop, self._load = loop, load
        self._recorders: dict[str, Recorder] = {}
        self._open: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, query: str) -> None:
        """The query has requests, from now on or still."""
        if query in self._open:
            return
        now, load = time.monotonic(), self._load()
        self._recorders.setdefault(query, Recorder(now, load)).resume(now, load)
        self._open.add(query)
        if self._timer is None:
            self._timer = self._loop.call_later(_SECONDS, self._look)

    def end(self, query: str) -> None:
        """It has none any more."""
        self._open.discard(query)

    def series(self, query: str) -> Series:
        """What was seen so far; without points where that is nothing."""
        recorder = self._recorders.get(query)
        return recorder.series(time.monotonic()) if recorder is not None else Series()

    def forget(self, query: str) -> None:
        """The engine does not count it any more."""
        self._recorders.pop(query, None)

    def _look(self) -> None:
        self._timer = None
        if not self._open:
            return
        self._timer = self._loop.call_later(_SECONDS, self._look)  # first: a look that fails is not the last one
        now, load = time.monotonic(), self._load()
        for query in self._open & self._recorders.keys():
            self._recorders[query].look(now, load)
