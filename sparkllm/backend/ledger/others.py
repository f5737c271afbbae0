"""What others have put on the shared path, taken into this host's ledger."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable

import pyarrow as pa

from sparkllm.backend.ledger.shared import SharedAnswers
from sparkllm.backend.ledger.store import AnswerStore
from sparkllm.errors import LedgerError

__all__ = ["Others"]

_LOOK_SECONDS = 30.0  # between the end of a look and the next
# So long are questions held back for a look: those of a new host wait for what it finds, up to some million answers.
_WAIT_SECONDS = 20.0
_TRIES = 3  # looks at a file that cannot be read: a store far away fails now and then


class Others:
    """Looks for new files now and then, on a thread of its own.

    Args:
        shared: where to look.
        store: takes the answers in.
        max_bytes: of the store.
        say: is told what it is about, what was wrong (None: nothing any more), and what that means.
    """

    def __init__(
        self,
        shared: SharedAnswers,
        store: AnswerStore,
        max_bytes: int,
        say: Callable[[str, Exception | None, str], None],
    ) -> None:
        self._shared, self._store, self._max_bytes, self._say = shared, store, max_bytes, say
        self._unreadable = Counter[str]()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began = self._next = 0.0

    def look(self) -> None:
        """Take in what is new, where the last look was a while ago; a look that takes long goes on by itself."""
        with self._lock:
            if (self._thread is None or not self._thread.is_alive()) and time.monotonic() >= self._next:
                self._began = time.monotonic()
                self._thread = threading.Thread(target=self._look, name="sparkllm-ledger-look", daemon=True)
                self._thread.start()
            thread = self._thread
        if thread is not None:
            thread.join(max(0.0, self._began + _WAIT_SECONDS - time.monotonic()))

    def _look(self) -> None:
        try:
            left_out = {name for name, tries in self._unreadable.items() if tries >= _TRIES}
            for name in sorted(self._shared.names() - self._store.taken_in() - left_out):
                self._take_in(name)
            self._say("look", None, "")
        except (OSError, pa.ArrowException, sqlite3.Error) as error:
            self._say("look", error, "answers of the shared path are not read")
        self._next = time.monotonic() + _LOOK_SECONDS

    def _take_in(self, name: str) -> None:
        try:
            answers = self._shared.read(name)
        except LedgerError as error:
            self._unreadable[name] += 1
            if self._unreadable[name] == _TRIES:
                self._say("file", error, "a shared file is left out")
            return
        self._store.take_in(name, answers)
        self._store.make_room(self._max_bytes, 2 * len(answers))
