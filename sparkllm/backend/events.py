"""One line for each event of an engine, in its folder's events.log; vLLM's own words are in server-<launch>.log.

<time> engine=<key> application=<id> query=<id> pid=<who wrote it> <event>
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from sparkllm.backend.folder import EngineFolder

__all__ = ["note"]

_MOST_BYTES = 2**20


def note(folder: EngineFolder, event: str, query: str = "") -> None:
    """Append a line; from any process. A disk that is full or a folder that is gone costs the line, nothing else.

    Args:
        event: what happened, in one line.
        query: Spark's id of the query it happened for; left out where there is none.
    """
    with contextlib.suppress(OSError, ValueError):
        _rotate(folder)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        whose = f"application={folder.spec.application}" + (f" query={query}" if query else "")
        line = f"{now} engine={folder.path.name} {whose} pid={os.getpid()} {' '.join(event.split())}\n"
        descriptor = os.open(folder.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())  # one write: lines of several processes stay whole
        finally:
            os.close(descriptor)


def _rotate(folder: EngineFolder) -> None:
    if not folder.events.exists() or folder.events.stat().st_size < _MOST_BYTES:
        return
    with contextlib.suppress(Timeout), FileLock(f"{folder.events}.lock", timeout=0, mode=0o600):
        folder.events.replace(f"{folder.events}.1")
