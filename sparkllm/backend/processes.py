"""Processes by pid and creation time (a pid alone may be another process by now), and whole process groups."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from typing import NamedTuple, Self

import psutil

__all__ = ["ProcessRef", "end_group", "group_members", "group_of"]

# psutil derives creation times from the boot time, which drifts by fractions of a second with the clock.
_SAME_TIME = 2.0


class ProcessRef(NamedTuple):
    """One process, for ever: `pid` and `created` (seconds since the epoch)."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has `pid` now.

        Raises:
            psutil.NoSuchProcess: there is none.
        """
        return cls(pid, round(psutil.Process(pid).create_time(), 2))

    @property
    def alive(self) -> bool:
        """Whether that very process still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _SAME_TIME
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


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
    if leader.created < psutil.boot_time() - _SAME_TIME or (psutil.pid_exists(leader.pid) and not _same(leader)):
        return []
    return group_members(leader.pid)


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
    try:
        return bool(abs(psutil.Process(leader.pid).create_time() - leader.created) < _SAME_TIME)
    except psutil.NoSuchProcess:
        return True


def _signal(members: list[ProcessRef], number: signal.Signals) -> None:
    for member in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member.pid, number)
