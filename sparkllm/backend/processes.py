"""Processes by pid and start (a pid alone may be another process by now), and whole process groups.

A start is told in seconds since the machine's own: times of day change under a running process, where a clock is set or
a virtual machine wakes up.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import psutil

__all__ = ["ProcessRef", "end_group", "group_members", "group_of"]

_PROC = Path("/proc")
_START_FIELD = 19  # of /proc/<pid>/stat, counted from behind the name, which may hold spaces and brackets


class ProcessRef(NamedTuple):
    """One process, for ever: `pid`, `started` (seconds since the machine did) and `boot`, the machine's own start."""

    pid: int
    started: float
    boot: str = ""

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has `pid` now.

        Raises:
            psutil.NoSuchProcess: there is none.
        """
        return cls(pid, _started(pid), _boot())

    @property
    def alive(self) -> bool:
        """Whether that very process still runs; a zombie does not."""
        try:
            return ProcessRef.of(self.pid) == self and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def _started(pid: int) -> float:
    """Seconds; of a system without /proc since the epoch."""
    try:
        told = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return round(psutil.Process(pid).create_time(), 2)
    return int(told.rpartition(")")[2].split()[_START_FIELD]) / os.sysconf("SC_CLK_TCK")


@functools.cache
def _boot() -> str:
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8")[:8]
    return ""


def group_members(group: int) -> list[ProcessRef]:
    """The living processes of a process group."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) == group:
                members.append(ProcessRef.of(pid))
    return [member for member in members if member.alive]


def group_of(leader: ProcessRef) -> list[ProcessRef]:
    """The living processes of the group that `leader` leads or, being dead, led.

    None where the group id may belong to others by now: the leader's pid was given to another process, or the machine
    was started after the leader.
    """
    return group_members(leader.pid) if leader.boot == _boot() and _same(leader) else []


def end_group(leader: ProcessRef, grace: float, spare: Iterable[int] = ()) -> None:
    """End every process of `leader`'s group but those in `spare`: SIGTERM, `grace` seconds, then SIGKILL."""
    kept = set(spare)

    def left() -> list[ProcessRef]:
        return [member for member in group_of(leader) if member.pid not in kept]

    _signal(left(), signal.SIGTERM)
    deadline = time.monotonic() + grace
    while left() and time.monotonic() < deadline:
        time.sleep(0.1)
    # Twice or more: a process may start another one while it is being ended.
    deadline = time.monotonic() + 5.0
    while (members := left()) and time.monotonic() < deadline:
        _signal(members, signal.SIGKILL)
        time.sleep(0.05)


def _same(leader: ProcessRef) -> bool:
    """Whether nobody else has its pid."""
    try:
        return ProcessRef.of(leader.pid) == leader
    except psutil.NoSuchProcess:
        return True


def _signal(members: list[ProcessRef], number: signal.Signals) -> None:
    for member in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member.pid, number)
