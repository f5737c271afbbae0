"""The ledger as an engine's server uses it: answers are kept as they come, and whatever breaks, queries go on.

The promise: an answer leaves the server at once and is committed at most 0.05 s and one transaction later. When the
server is killed, those of that time are paid for again, and what was under way; nothing that was committed is. A disk
that is full or fails costs the answers of the next minute: then it is tried again. On the shared path answers appear
when the engine's last stream has ended, or 10 s after they were given.
"""

from __future__ import annotations

import errno
import json
import math
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from sparkllm.backend.engine import Answer, Sampling
from sparkllm.backend.ledger.batches import Batches
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.backend.ledger.store import AnswerStore, Kept
from sparkllm.backend.ledger.troubles import Troubles
from sparkllm.backend.log_line import log_line
from sparkllm.errors import LedgerError

if TYPE_CHECKING:
    from sparkllm.backend.ledger.others import Others
    from sparkllm.backend.ledger.shared import SharedAnswers

__all__ = ["Ledger", "Ledgers", "may_be_kept"]

_COMMIT_SECONDS, _COMMIT_ANSWERS = 0.05, 512
_PAUSE_SECONDS = 60.0
_SHARE_SECONDS, _SHARE_ANSWERS = 10.0, 10_000
_MOST_OPEN = 8  # of settings that a server keeps a ledger open for; one of another size limit is another


def may_be_kept(answer: Answer, sampling: Sampling) -> bool:
    """Whether this is an answer that holds for ever: none that failed, was sampled, or is not of the form asked for."""
    if answer.error is not None or answer.text is None or sampling.temperature > 0:
        return False
    if sampling.json_schema and not _is_object(answer.text):
        return False
    return not sampling.choices or answer.text in sampling.choices


class Ledger:
    """One ledger and one model. No method raises for a ledger that does not work; `trouble` says what was wrong.

    Args:
        settings: which ledger.
        fingerprint: of the model; answers of others are not looked for on the shared path.
    """

    def __init__(self, settings: LedgerSettings, fingerprint: str) -> None:
        self._troubles = Troubles()
        self._settings = settings
        self._store: AnswerStore | None = None
        self._write_again = self._read_again = self._open_again = 0.0  # when, on the monotonic clock
        self._fingerprint = fingerprint
        self._local = Batches(self._commit, self._not_written, _COMMIT_SECONDS, _COMMIT_ANSWERS)
        self._outgoing = Batches(self._share, self._not_shared, _SHARE_SECONDS, _SHARE_ANSWERS)
        self._shared: SharedAnswers | None = None
        self._others: Others | None = None
        self._open()

    @property
    def trouble(self) -> str:
        """What does not work right now; empty where all does."""
        return str(self._troubles)

    def _open(self) -> None:
        try:
            self._store = AnswerStore(Path(self._settings.folder), self._settings.days)
        except LedgerError as error:
            cause = error.__cause__ or error
            self._open_again = time.monotonic() + _PAUSE_SECONDS if _may_pass(cause) else math.inf
            self._say("write", error, passing=_may_pass(cause))
            return
        self._open_again = 0.0
        self._works_again()
        if self._settings.shared_path:
            self._open_shared(self._store)

    def _opened(self) -> AnswerStore | None:
        """The store; where it could not be opened, that is tried again now and then."""
        if self._store is None and 0 < self._open_again <= time.monotonic():
            self._open()
        return self._store

    def _works_again(self) -> None:
        if self._troubles.end("write"):
            log_line("answers are kept again")

    def _open_shared(self, store: AnswerStore) -> None:
        from sparkllm.backend.ledger.others import Others
        from sparkllm.backend.ledger.shared import SharedAnswers

        try:
            self._shared = SharedAnswers(self._settings.shared_path, self._fingerprint)
        except (OSError, ValueError, NotImplementedError) as error:  # Arrow knows no such URI
            self._say("share", error, "answers are not shared")
        else:
            self._others = Others(self._shared, store, self._settings.max_bytes, self._said)

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The answers that are known, those of other clusters included."""
        if self._others is not None:
            self._others.look()
        return self.find(keys)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The answers that are known on this host."""
        found = {key: kept.text for key in keys if (kept := self._local.get(key)) is not None}
        store = self._opened()
        if store is None or time.monotonic() < self._read_again:
            return found
        try:
            # Asked for second: what has left the first meanwhile is here.
            found = store.recall([key for key in keys if key not in found]) | found
        except sqlite3.Error as error:
            if _may_pass(error):
                self._read_again = time.monotonic() + _PAUSE_SECONDS
            else:
                self._store, self._open_again = None, math.inf
            self._say("read", error)
        else:
            self._troubles.end("read")
        return found

    def keep(self, key: bytes, text: str, field_order: str) -> None:
        """Keep an answer, soon; returns at once."""
        if self._opened() is not None and time.monotonic() >= self._write_again:
            answer = Kept(key, text, field_order, int(time.time()))
            self._local.add(answer)
            if self._shared is not None:
                self._outgoing.add(answer)

    def take_trouble(self, query: str) -> str:
        """`trouble` for the first task of a query that asks, "" for the others: it is one warning, not one a task."""
        return self._troubles.take(query)

    def flush(self, seconds: float = 0.0) -> bool:
        """Write what is there now; whether all is written, shared path included, after at most `seconds`."""
        written = [batches.flush(seconds) for batches in (self._local, self._outgoing)]
        return all(written)

    def _commit(self, answers: list[Kept]) -> None:
        if self._store is not None:
            self._store.write(answers)
            # More than came: a full ledger must get below its limit.
            self._store.make_room(self._settings.max_bytes, 2 * len(answers))
            self._write_again = 0.0
            self._works_again()

    def _not_written(self, error: Exception) -> bool:
        self._write_again = time.monotonic() + _PAUSE_SECONDS
        self._say("write", error)
        return _may_pass(error)

    def _share(self, answers: list[Kept]) -> None:
        if self._shared is not None:
            name = self._shared.append(answers)
            if self._store is not None:
                self._store.take_in(name, [])
            self._troubles.end("share")

    def _not_shared(self, error: Exception) -> bool:
        self._say("share", error, f"answers do not reach {self._settings.shared_path}")
        return True

    def _said(self, about: str, error: Exception | None, what: str) -> None:
        """Of a look for the answers of others; None: it was a good one."""
        if error is None:
            self._troubles.end(about)
        else:
            self._say(about, error, what)

    def _say(self, about: str, error: Exception, what: str = "", passing: bool | None = None) -> None:
        """Once; a disk that is full would say so with every transaction."""
        passing = _may_pass(error) if passing is None else passing
        again = f", until it works again (tried every {_PAUSE_SECONDS:.0f} s)" if passing else " from here on"
        what = what or f"answers are not {'told' if about == 'read' else 'kept'}{again}"
        self._troubles.begin(
            about,
            f"{what}: {error}. The query goes on; see to it, or run `sparkllm ledger clear`. "
            f"Ledger: {self._settings.folder}",
        )


class Ledgers:
    """The ledgers that a server's clients have asked for, those asked for last."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self._ledgers: OrderedDict[LedgerSettings, _Opened] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, settings: LedgerSettings) -> Ledger:
        """The ledger of these settings, opened where this is the first to ask for it."""
        with self._lock:
            opened = self._ledgers.setdefault(settings, _Opened())
            self._ledgers.move_to_end(settings)
            if len(self._ledgers) > _MOST_OPEN:
                # Streams that use it go on, and so does what waits to be written; then nothing refers to it.
                self._ledgers.popitem(last=False)
        with opened.lock:  # a disk that is slow to open one keeps nobody from another
            if opened.ledger is None:
                opened.ledger = Ledger(settings, self._fingerprint)
            return opened.ledger

    def flush(self) -> None:
        """Let nothing wait that could be written; returns at once."""
        with self._lock:
            ledgers = [opened.ledger for opened in self._ledgers.values()]
        for ledger in ledgers:
            if ledger is not None:
                ledger.flush()


class _Opened:
    ledger: Ledger | None = None

    def __init__(self) -> None:
        self.lock = threading.Lock()


def _may_pass(error: BaseException) -> bool:
    """Whether it is the disk that is full or fails, and not the file that is broken."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)
    return full or isinstance(error, sqlite3.OperationalError | Timeout)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
