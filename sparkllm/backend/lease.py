"""Leases: an engine lives as long as one process that holds a lease on it.

The holder for a Spark Python worker is its executor: workers come and go with tasks, the executor stays.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from sparkllm.backend.processes import ProcessRef

__all__ = ["drop_dead", "holder", "take"]

_REAPERS = ("systemd", "init", "tini", "dumb-init", "docker-init", "catatonit")
_SPARK_PYTHON = ("pyspark.daemon", "pyspark.worker", "pyspark/daemon.py", "pyspark/worker.py")


def holder(pid: int | None = None) -> ProcessRef:
    """The process on whose behalf `pid` (this process, by default) asks: the executor for a Spark Python worker.

    A worker whose executor has died belongs to what reaps orphans, which lives as long as the machine: then it is the
    worker itself, which ends soon.
    """
    process = asking = psutil.Process(pid)
    while _is_spark_python(process):
        parent = process.parent()
        if parent is None or _reaps(parent):
            return ProcessRef.of(asking.pid)
        process = parent
    return ProcessRef.of(process.pid)


def _reaps(process: psutil.Process) -> bool:
    try:
        name = process.name()  # in a container the executor itself may be the first process
        return name in _REAPERS or name.startswith("containerd-shim") or (process.pid == 1 and "java" not in name)
    except psutil.Error:
        return False


def _is_spark_python(process: psutil.Process) -> bool:
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return any(name in command for name in _SPARK_PYTHON)


def take(folder: Path, process: ProcessRef) -> None:
    """Write the lease of `process` into `folder`; taking it twice is the same as once."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "-".join(map(str, process))).touch(mode=0o600)


def drop_dead(folder: Path) -> list[ProcessRef]:
    """Remove the leases of processes that are gone; return the living holders."""
    living = []
    for path in sorted(folder.glob("*-*-*")):
        pid, started, boot = path.name.split("-")
        process = ProcessRef(int(pid), float(started), boot)
        if process.alive:
            living.append(process)
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
    return living
