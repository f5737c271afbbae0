"""A sign of life from the engine, by way of a file's time: the server gives it, the watchdog looks for it.

An engine that has requests is asked for a sign, which its own process gives between two steps. Long prompts are read
in pieces, one a step, and so do not look like a hang; a step that never ends does, and so does a server that no longer
runs.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

__all__ = ["Silence", "beat"]

_MOST_SECONDS = 5.0
_BEATS = 4  # in the time after which silence counts as a hang


async def beat(path: Path, busy: Callable[[], bool], ping: Callable[[], Awaitable[None]], hang_seconds: float) -> None:
    """Touch `path` again and again, as long as `ping` returns where the engine is `busy`. For the server's loop."""
    while True:
        if busy():
            await ping()
        path.touch(mode=0o600)
        await asyncio.sleep(min(_MOST_SECONDS, hang_seconds / _BEATS or _MOST_SECONDS))


class Silence:
    """How long the file has not been touched, for the watchdog, which looks every `poll_seconds`.

    Counted in looks, not by a clock: a machine or a container that slept has not been silent.
    """

    def __init__(self, path: Path, poll_seconds: float) -> None:
        self._path, self._poll_seconds = path, poll_seconds
        self._touched, self._looked, self.seconds = 0, time.monotonic(), 0.0

    def look(self) -> float:
        """Seconds of silence so far; 0 where nothing was ever touched: the engine is not ready yet."""
        try:
            touched = os.stat(self._path).st_mtime_ns
        except FileNotFoundError:
            touched = 0
        now = time.monotonic()
        since, self._looked = min(now - self._looked, 2 * self._poll_seconds), now
        self.seconds = self.seconds + since if touched and touched == self._touched else 0.0
        self._touched = touched
        return self.seconds
