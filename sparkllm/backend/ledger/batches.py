"""Answers that wait for their transaction: a thread writes what has come together."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sparkllm.backend.ledger.store import Kept

__all__ = ["Batches"]

# So many wait at most, where a disk is slower than the engine: more would only fill the memory.
_MOST_WAITING, _MOST_BYTES = 100_000, 64 << 20

_IDLE_SECONDS = 10.0  # after which the thread ends, until there is something to write again


class Batches:
    """Collects answers by key and hands them on together.

    Args:
        write: is given each batch, on the thread of this object.
        failed: is given what `write` raised; whether to go on, without that batch, or to take nothing any more.
        seconds: an answer waits at most so long for others.
        most: so many wait for no more.
    """

    def __init__(
        self, write: Callable[[list[Kept]], None], failed: Callable[[Exception], bool], seconds: float, most: int
    ) -> None:
        self._write, self._failed, self._seconds, self._most = write, failed, seconds, most
        self._pending: dict[bytes, Kept] = {}
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._hurry = self._ended = False

    def add(self, answer: Kept) -> None:
        """Take an answer; returns at once."""
        with self._changed:
            if self._ended or len(self._pending) >= _MOST_WAITING or self._bytes >= _MOST_BYTES:
                return
            earlier = self._pending.get(answer.key)
            self._pending[answer.key] = answer
            self._bytes += _size(answer) - (_size(earlier) if earlier else 0)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sparkllm-ledger", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def get(self, key: bytes) -> Kept | None:
        """An answer that is not written yet; once it is not here, it is written."""
        return self._pending.get(key)

    def flush(self, seconds: float = 0.0) -> bool:
        """Let what is there wait no longer; whether all is written, after at most `seconds`."""
        with self._changed:
            self._hurry = bool(self._pending)
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._pending, seconds)

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._write(batch)
            except Exception as error:
                self._ended = not self._failed(error)
            with self._changed:
                for answer in list(self._pending.values()) if self._ended else batch:
                    if self._pending.get(answer.key) is answer:  # not a later one
                        del self._pending[answer.key]
                        self._bytes -= _size(answer)
                self._changed.notify_all()

    def _next(self) -> list[Kept]:
        """What there is to write; nothing, and the thread is no longer this object's, where it is to end."""
        with self._changed:
            if self._ended or not self._changed.wait_for(lambda: self._pending, _IDLE_SECONDS):
                self._thread = None
                return []
            self._changed.wait_for(self._enough, self._seconds)
            self._hurry = False
            return list(self._pending.values())

    def _enough(self) -> bool:
        return self._hurry or len(self._pending) >= self._most or self._bytes >= _MOST_BYTES // 4


def _size(answer: Kept) -> int:
    return len(answer.text) + len(answer.field_order)
