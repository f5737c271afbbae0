"""What an engine's steps take, on a machine that has other work, too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["Clock", "Took"]

_ROWS, _WIDE, _LONG, _TIMES = 128, 768, 2112, 4  # of the yardstick: some milliseconds of what an engine does
_FIRST = 50


@dataclass
class Took:
    """How long steps took, in seconds: by the clock, and on the wall."""

    seconds: float = 0.0
    wall_seconds: float = 0.0


class Clock:
    """The process's CPU time where the engine computes on one core in this very process; else the wall's.

    There the two are the same, but for the time in which the core was given to others: of single steps that was up to
    two thirds. An engine on a GPU waits for it, and several cores wait for each other.

    The core itself may be slower at one moment than at the next, by its neighbour's work or its clock rate: the same
    step took up to twice as long. So CPU time is measured by a yardstick, a few products of matrices before each step:
    a second is what took one second while the yardstick took what it did at the start. That leaves half of the spread.

    Args:
        device: where the engine computes, as torch names it.
        dtype: in which; in one that the CPU has no instructions for, the yardstick would take longer than the steps.
    """

    def __init__(self, device: str, dtype: Any) -> None:
        alone = device == "cpu" and len(os.sched_getaffinity(0)) == 1
        self.name = "CPU time, by a yardstick" if alone else "wall"
        self._now = time.process_time if alone else time.perf_counter
        self._yardstick = _Yardstick(self._now, dtype) if alone else None

    def step(self, took: Took, step: Callable[[], Any]) -> None:
        """Do it, and add its time to `took`."""
        slower = self._yardstick.slower() if self._yardstick is not None else 1.0
        wall, began = time.perf_counter(), self._now()
        step()
        took.seconds += (self._now() - began) / slower
        took.wall_seconds += time.perf_counter() - wall


class _Yardstick:
    def __init__(self, now: Callable[[], float], dtype: Any) -> None:
        import torch

        self._now = now
        rows = torch.randn(_ROWS, _WIDE, dtype=dtype)
        weights = [torch.randn(_LONG, _WIDE, dtype=dtype) for _ in range(_TIMES)]
        self._work = lambda: [torch.nn.functional.linear(rows, weight) for weight in weights]
        self._usual = median(self._seconds() for _ in range(_FIRST))

    def slower(self) -> float:
        """How many times longer it takes now than at the start."""
        return self._seconds() / self._usual

    def _seconds(self) -> float:
        began = self._now()
        self._work()
        return self._now() - began
