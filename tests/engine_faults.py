"""Kill a part of the engine while a query runs, and see what came of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from sparkllm.backend.client import EngineClient
from sparkllm.backend.processes import ProcessRef
from sparkllm.errors import EngineError

__all__ = ["PARTS", "Fault", "engine_core", "strike"]

_PATIENCE = 120.0


def engine_core(engine: EngineClient) -> int:
    """The process of vLLM's that computes: the server's child that is no helper of Python's own."""
    server = engine._folder.state().server
    assert server is not None
    children = psutil.Process(server.pid).children()
    return int(next(p.pid for p in children if "resource_tracker" not in " ".join(p.cmdline())))


def _pid(process: ProcessRef | None) -> int:
    assert process is not None
    return process.pid


PARTS: dict[str, Callable[[EngineClient], int]] = {
    "engine core": engine_core,
    "server": lambda engine: _pid(engine._folder.state().server),
    "watchdog": lambda engine: _pid(engine._folder.state().watchdog),
}


@dataclass
class Fault:
    """What was done, and how long it took until the next engine was ready, in seconds."""

    at_answers: int = 0
    recovered_seconds: float = 0.0


def strike(engine: EngineClient, part: str, after: int, how: signal.Signals = signal.SIGKILL) -> Callable[[], Fault]:
    """Send a signal once the engine has given `after` more answers; what is returned waits for the next engine."""
    fault, before = Fault(), engine.counters()["finished"]

    def finished() -> int:
        try:
            return engine.counters()["finished"] - before
        except EngineError:
            return -1

    def run() -> None:
        until = time.monotonic() + _PATIENCE
        while (count := finished()) < after and time.monotonic() < until:
            time.sleep(0.02)
        fault.at_answers, launch = count, engine._state.launch
        os.kill(PARTS[part](engine), how)
        began = time.monotonic()
        while (state := engine._folder.state()).launch == launch or not state.serving:
            if time.monotonic() > until:
                return
            time.sleep(0.05)
        fault.recovered_seconds = round(time.monotonic() - began, 1)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> Fault:
        thread.join()
        return fault

    return wait
