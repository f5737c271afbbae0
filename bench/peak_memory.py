"""The most memory that a piece of work takes."""

from __future__ import annotations

import threading

import psutil
import pyarrow as pa

__all__ = ["PeakMemory"]


class PeakMemory:
    """The resident memory of this process above that at the beginning, looked at every few milliseconds."""

    def __enter__(self) -> PeakMemory:
        pa.default_memory_pool().release_unused()
        self._process, self._ended = psutil.Process(), threading.Event()
        self._before = self._most = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self._most = max(self._most, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def above(self) -> int:
        """Bytes."""
        return self._most - self._before
