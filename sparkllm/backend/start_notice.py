"""A start that takes long is announced: a line for the driver, or else for this process's own error stream."""

from __future__ import annotations

import contextlib
import os
import sys

from sparkllm.backend.control.budget import ControlAddress
from sparkllm.backend.control.notice import tell_driver
from sparkllm.backend.events import note
from sparkllm.backend.folder import EngineFolder

__all__ = ["StartNotice"]

_MOST_SECONDS = 60.0  # between two lines


class StartNotice:
    """The lines of one start, each about twice as late as the one before.

    Args:
        folder: of the engine that starts.
        seconds: until the first line; 0: none at all.
        query: on whose behalf; for the log of events.
        driver: its service; None where there is none.
    """

    def __init__(self, folder: EngineFolder, seconds: float, query: str, driver: ControlAddress | None) -> None:
        self._folder, self._next, self._query, self._driver = folder, seconds, query, driver

    def look(self, waited: float) -> None:
        """Say a line if it is time; `waited`: seconds since the start began."""
        if not self._next or waited < self._next:
            return
        self._next += min(self._next, _MOST_SECONDS)
        at = self._at()
        note(self._folder, f"still starting after {waited:.0f} s{f', {at}' if at else ''}", self._query)
        here = "" if self._driver is None or self._driver.local else f" on {os.uname().nodename}"
        text = f"loading model {self._folder.spec.model}{here}: {f'{at}, ' if at else ''}{waited:.0f} s so far"
        if self._driver is None or not tell_driver(self._driver, text):
            print(f"sparkllm: {text}; log: {self._folder.log}", file=sys.stderr)

    def _at(self) -> str:
        """What the engine's server says it is at, see download.py."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return self._folder.loading.read_text(encoding="utf-8").strip()
        return ""
