"""The answers of one host in SQLite, in WAL mode.

SQLite because it comes with Python, needs no server, and is safe where it matters here: a transaction is there as a
whole or not at all whenever a process is killed (each WAL frame has a checksum), and several processes may read and
write one file, such as the engines of two models. Only the folder must be on a local disk: WAL needs shared memory.

Commits do not wait for the disk (`synchronous=NORMAL`). A killed process loses nothing that was committed; a machine
that loses its power may lose the last commits and pays for those answers again.

Kept are digests of what was asked and the answers; no prompts and no fields.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from sparkllm.backend.ledger.disk import network_file_system
from sparkllm.errors import LedgerError

__all__ = ["FORMAT", "AnswerStore", "Kept", "files_of", "other_formats", "path_in"]

# Part of the file's name: a file of another format is left where it is, and never read as this one.
FORMAT = 1

_BUSY_SECONDS = 10.0
_KEYS_PER_QUERY = 256
_DAY = 24 * 3600.0
_SCHEMA = (
    "CREATE TABLE answers (key BLOB PRIMARY KEY, text TEXT NOT NULL, field_order TEXT NOT NULL, at INTEGER NOT NULL)",
    "CREATE TABLE imported (name TEXT PRIMARY KEY) WITHOUT ROWID",
    f"PRAGMA user_version = {FORMAT}",
)


class Kept(NamedTuple):
    """One answer.

    Attributes:
        key: digest of all that the answer depends on, see sparkllm/udf/answer_keys.py.
        text: the answer.
        field_order: the fields as they stood in the prompt, by number: "2,0,1".
        at: when it was given, seconds since the epoch.
    """

    key: bytes
    text: str
    field_order: str
    at: int


def path_in(folder: Path) -> Path:
    """The file of this format in a ledger's folder."""
    return folder / f"answers-{FORMAT}.sqlite"


def files_of(path: Path) -> list[Path]:
    """The file and what SQLite keeps beside it, as far as they are there."""
    return [one for end in ("", "-wal", "-shm") if (one := path.with_name(path.name + end)).exists()]


def other_formats(folder: Path) -> list[Path]:
    """Ledgers that another version of sparkllm wrote; none of this one's business."""
    return sorted(path for path in folder.glob("answers-*.sqlite") if path != path_in(folder))


class AnswerStore:
    """One file of answers; its methods may be called from any thread.

    Args:
        folder: made where it is not there; of this user, and no other may write there.
        days: older answers are not told; 0 tells all.

    Raises:
        LedgerError: the folder or the file cannot be used. Methods raise sqlite3.Error where the disk is full or the
            file is broken.
    """

    def __init__(self, folder: Path, days: float = 0.0) -> None:
        self.path, self._days = path_in(folder), days
        self._reading, self._writing = threading.Lock(), threading.Lock()
        try:
            _own(folder)
            # To change a new file to WAL mode takes it alone, and SQLite does not wait for that.
            with FileLock(folder / "open.lock", timeout=30, mode=0o600):
                self.path.touch(mode=0o600)
                self._writer = _connect(self.path)
            self._reader = _connect(self.path)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"expected a ledger of answers at {self.path}, found: {error}") from error

    def close(self) -> None:
        """Close the file; what was written stays."""
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The answers among these keys that are there and not too old."""
        found: dict[bytes, str] = {}
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, text FROM answers WHERE at >= ? AND key IN ({marks})"
            with self._reading:  # in pieces: the engine's loop waits for this lock with its one key
                found.update(self._reader.execute(query, (self._oldest(), *some)))
        return found

    def write(self, answers: Iterable[Kept]) -> None:
        """All of them or, when the process is killed meanwhile, none; on return they are committed."""
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", answers)

    def take_in(self, name: str, answers: Iterable[Kept]) -> None:
        """Add the answers of a shared file, once; what this host has answered itself stays."""
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", answers)
            database.execute("INSERT OR IGNORE INTO imported VALUES (?)", (name,))

    def taken_in(self) -> set[str]:
        """Names of the shared files that `take_in` was given."""
        with self._reading:
            return {name for (name,) in self._reader.execute("SELECT name FROM imported")}

    def make_room(self, max_bytes: int, most: int) -> int:
        """Drop at most `most` of the oldest answers: all while there are more than `max_bytes`, else those too old.

        Returns:
            how many were dropped.
        """
        full, too_old = self.used_bytes() > max_bytes, self._oldest()
        with self._reading:
            first = self._reader.execute("SELECT at FROM answers ORDER BY rowid LIMIT 1").fetchone()
        if first is None or not (full or first[0] < too_old):
            return 0
        oldest = "SELECT rowid FROM answers ORDER BY rowid LIMIT ?"
        with self._transaction() as database:
            delete = f"DELETE FROM answers WHERE rowid IN ({oldest}) AND (? OR at < ?)"
            return database.execute(delete, (most, full, too_old)).rowcount

    def used_bytes(self) -> int:
        """Bytes of the file that hold something; a file does not shrink, what is free in it is used again."""
        with self._reading:
            pages, free, size = (
                self._reader.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def summary(self) -> tuple[int, int | None, int | None]:
        """(answers, when the oldest and the latest were given, seconds since the epoch)."""
        with self._reading:
            count, oldest, latest = self._reader.execute("SELECT count(*), min(at), max(at) FROM answers").fetchone()
        return int(count), oldest, latest

    def clear(self) -> None:
        """Forget all answers, also under engines that have the file open, and give the space back."""
        with self._transaction() as database:
            database.execute("DELETE FROM answers")
            database.execute("DELETE FROM imported")
        with self._writing:
            self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _oldest(self) -> float:
        return time.time() - self._days * _DAY if self._days else 0.0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk may have rolled it back already
                    self._writer.execute("ROLLBACK")
                raise


def _own(folder: Path) -> None:
    if kind := network_file_system(folder):
        raise LedgerError(
            f"expected {folder} on a disk of this host, found {kind}, which others may mount, too: set "
            f"spark.sparkllm.ledger to a local folder, and spark.sparkllm.ledgerSharedPath to this one"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        # Whoever can write there could put answers into this user's tables.
        raise LedgerError(
            f"expected {folder} to be a folder of user {os.getuid()} where no other may write; "
            f"set spark.sparkllm.ledger to a folder of your own"
        )


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that any thread may use, to a file that has the schema."""
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        [(mode,)] = database.execute("PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise LedgerError(f"expected a local disk under {path}: SQLite's WAL mode is not to be had there")
        database.execute("PRAGMA synchronous = NORMAL")
        _check_format(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _check_format(database: sqlite3.Connection, path: Path) -> None:
    with closing(database.execute("PRAGMA user_version")) as found:
        version = found.fetchone()[0]
    if not version and not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        database.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute("COMMIT")
    elif version != FORMAT:
        raise LedgerError(f"expected a ledger of format {FORMAT} at {path}, found format {version}: move it away")
