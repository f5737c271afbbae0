"""The requests inside the engine, in a file that outlives its processes.

The file is mapped into memory: what a killed process has written there stays with the kernel, and no write waits for
the disk. The next server reads in it what was under way when the last one died.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from sparkllm.backend.log_line import log_line

__all__ = ["DIGEST_BYTES", "InFlight", "left_in"]

DIGEST_BYTES = 16
_SLOTS = 65_536  # 1 MiB; requests beyond are not recorded, as if they could do no harm
_FREE = bytes(DIGEST_BYTES)


class InFlight:
    """A place for each request under way; belongs to one thread.

    Args:
        path: made anew; None keeps the places in memory alone.
    """

    def __init__(self, path: Path | None = None, slots: int = _SLOTS) -> None:
        self._map = _mapped(path, slots * DIGEST_BYTES)
        self._free = list(range(slots))

    def add(self, digest: bytes) -> int:
        """Note a request; returns its place, -1 where all are taken."""
        if not self._free:
            return -1
        place = self._free.pop()
        self._map[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES] = digest
        return place

    def remove(self, place: int) -> None:
        """Forget the request in `place`."""
        if place >= 0:
            self._map[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES] = _FREE
            self._free.append(place)


def left_in(path: Path) -> list[bytes]:
    """The requests that were under way when the process that wrote `path` ended; none where there is no such file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    places = (content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES))
    return [digest for digest in places if digest != _FREE]


def _mapped(path: Path | None, size: int) -> mmap.mmap:
    if path is None:
        return mmap.mmap(-1, size)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # Now, and not at the first write to a page: on a full disk, that would be a SIGBUS.
        os.posix_fallocate(descriptor, 0, size)
        return mmap.mmap(descriptor, size)
    except OSError as error:
        path.unlink()
        log_line(f"a request that kills the engine will not be found, as {path} cannot be kept: {error}")
        return mmap.mmap(-1, size)
    finally:
        os.close(descriptor)
