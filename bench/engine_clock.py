"""What an engine's steps take, on a machine that has other work, too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Clock", "Took"]


@dataclass
class Took:
    """How long something took, in seconds: by the clock, and on the wall."""

    seconds: float = 0.0
    wall_seconds: float = 0.0


class Clock:
    """The process's CPU time where the engine computes on one core in this very process; else the wall's.

    There the two are the same, but for the time in which the core was given to others: of single steps that was up to
    two thirds. An engine on a GPU waits for it, and several cores wait for each other.
    """

    def __init__(self, device: str) -> None:
        self.name = "CPU time" if device == "cpu" and len(os.sched_getaffinity(0)) == 1 else "wall"
        self._now = time.process_time if self.name == "CPU time" else time.perf_counter

    @contextmanager
    def running(self) -> Iterator[Took]:
        """Filled in at the end of the block."""
        took, wall, began = Took(), time.perf_counter(), self._now()
        yield took
        took.seconds, took.wall_seconds = self._now() - began, time.perf_counter() - wall
