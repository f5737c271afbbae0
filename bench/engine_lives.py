"""What the engines below one folder have counted, life by life: a killed engine takes its counters with it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from sparkllm.backend.client import EngineClient
from sparkllm.backend.sweep import engines
from sparkllm.errors import EngineError

__all__ = ["EngineLives"]

_EVERY = 0.02  # seconds; what an engine starts between the last look and its death is not counted


class EngineLives:
    """Looks at the counters all the time; `with EngineLives(runtime_dir) as lives: ...`."""

    def __init__(self, runtime_dir: Path) -> None:
        self._root, self._ended = runtime_dir, threading.Event()
        self._clients: dict[str, EngineClient] = {}
        self._last: dict[str, Counter[str]] = {}
        self._before: dict[str, Counter[str]] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> EngineLives:
        self._look()
        self._before = dict(self._last)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        for folder in engines(self._root):
            state = folder.state()
            if not state.serving:
                continue
            with contextlib.suppress(EngineError, OSError, pa.ArrowException):  # it may die at any moment
                if state.launch not in self._clients:
                    self._clients[state.launch] = EngineClient(folder, state, 1, 0.0)
                self._last[state.launch] = Counter(self._clients[state.launch].counters())

    @property
    def engine(self) -> EngineClient | None:
        """The one that serves now."""
        serving = [folder.state() for folder in engines(self._root)]
        found = [self._clients[state.launch] for state in serving if state.serving and state.launch in self._clients]
        return found[-1] if found else None

    def total(self, name: str) -> int:
        """Of all lives, since the block began."""
        last = dict(self._last)
        return sum(count[name] - self._before.get(life, Counter())[name] for life, count in last.items())

    @property
    def lives(self) -> int:
        """Engines that ran in the block."""
        return len(self._last) or 1

    def reach(self, answers: int, seconds: float) -> float:
        """Wait until so many answers were given; returns the seconds since the epoch at that moment.

        Raises:
            TimeoutError: they were not.
        """
        until = time.monotonic() + seconds
        while self.total("finished") < answers:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.total('finished')} of {answers} answers after {seconds} s")
            time.sleep(0.005)
        return time.time()

    def record(self) -> dict[str, Any]:
        """For a result."""
        return {name: self.total(name) for name in ("requests", "finished", "aborted", "from_ledger")}
