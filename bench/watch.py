"""The processes of one Spark application and its engines: who they are, their memory and open files over time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from sparkllm.backend.sweep import engines

__all__ = ["ROLES", "Watch", "of_application", "role", "slope"]

_MIB = 2**20
_HOUR = 3600.0

# part of a command line -> whose it is; the first that fits
ROLES = {
    "sparkllm.backend.watchdog": "watchdog",
    "sparkllm.backend.server": "server",
    "EngineCore": "EngineCore",
    "pyspark.daemon": "Python worker",
    "pyspark/daemon.py": "Python worker",
    "CoarseGrainedExecutorBackend": "executor JVM",
    "org.apache.spark.deploy": "driver JVM",
}


def role(process: psutil.Process) -> str:
    """What a process is; empty where it is none of ours."""
    with contextlib.suppress(psutil.Error):
        named = " ".join([process.name(), *process.cmdline()])
        return next((who for part, who in ROLES.items() if part in named), "")
    return ""


def of_application(root: psutil.Process, runtime_dir: Path) -> dict[str, list[psutil.Process]]:
    """The living processes of a driver and of the engines in its `runtime_dir`, by role.

    The daemon that forks Python workers counts as one of them. An engine outlives the worker that started it, and is
    then nobody's descendant.
    """
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    for process in {*_family(root), *_engines(runtime_dir)}:
        if who := role(process):
            found[who].append(process)
    return dict(found)


def _engines(runtime_dir: Path) -> Iterator[psutil.Process]:
    for folder in engines(runtime_dir):
        watchdog = folder.state().watchdog
        if watchdog is not None and watchdog.alive:
            with contextlib.suppress(psutil.Error):
                leader = psutil.Process(watchdog.pid)
                yield from (leader, *_family(leader))


def _family(root: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(root.children(recursive=True))
    return []


class Watch:
    """Looks every few seconds; `with Watch(seconds, runtime_dir) as watch: ...; watch.samples`."""

    def __init__(self, every: float, runtime_dir: Path) -> None:
        self._runtime_dir = runtime_dir
        self.samples: list[dict[str, Any]] = []
        self._every, self._ended, self._began = every, threading.Event(), time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._every):
            seconds = round(time.monotonic() - self._began, 1)
            self.samples.append({"seconds": seconds, **_look(of_application(psutil.Process(), self._runtime_dir))})


def _look(processes: dict[str, list[psutil.Process]]) -> dict[str, dict[str, float]]:
    return {who: figures for who, some in processes.items() if (figures := _sum(some))}


def _sum(processes: list[psutil.Process]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it may end at any moment
            memory, files = process.memory_info().rss / _MIB, process.num_fds()
            sums["mib"] += memory
            sums["largest_mib"] = max(sums["largest_mib"], memory)
            sums["files"] += files
            sums["processes"] += 1
    return {name: round(value, 1) for name, value in sums.items()}


def slope(samples: list[dict[str, Any]], who: str, figure: str = "largest_mib") -> dict[str, float]:
    """Of the second half: growth per hour by least squares, medians of its first and last fifth; {} for few samples."""
    half = [(s["seconds"], s[who][figure]) for s in samples[len(samples) // 2 :] if who in s]
    if len(half) < 3:
        return {}
    seconds, values = np.array(half).T
    per_hour = float(np.polyfit(seconds, values, 1)[0]) * _HOUR
    fifth = -(-len(values) // 5)
    ends = {"from": float(np.median(values[:fifth])), "to": float(np.median(values[-fifth:]))}
    return {"per_hour": round(per_hour, 1), **ends}
