"""What was measured at engine start: the target's step time by batched tokens and context, the draft's by batch and k.

On an accelerator a step's time is flat in its batched tokens until the arithmetic takes longer than reading the
weights, and rises from there; SmartSpec's straight line (arXiv 2406.14066) becomes a monotone
piecewise-linear curve.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from sparkllm.spec.arrays import Floats

__all__ = ["Curve", "Profile"]


@dataclass(frozen=True)
class Profile:
    """Measured points; repeats are welcome, their median counts.

    Attributes:
        target: (batched tokens, context tokens of the whole batch, seconds) of steps without drafting; where requests
            verified drafts, (.., requests) behind them. Some batched tokens should be measured at two contexts: without
            that the cost of context is taken as 0. They should reach the most requests times K + 1: behind the last
            point, time is taken to grow in proportion to the tokens.
        draft: (requests, draft length, seconds, context tokens of the whole batch) of the drafter alone; length 0 is
            what it costs when nothing is asked. Without contexts (three numbers), or with one alone, that of context is
            taken as 0. Empty for drafters that cost about nothing.
    """

    target: Sequence[tuple[int, int, float] | tuple[int, int, float, int]]
    draft: Sequence[tuple[int, int, float] | tuple[int, int, float, int]] = ()


class Curve:
    """A monotone piecewise-linear function through points; flat before the first, straight on behind the last.

    With `proportional`, it grows at least in proportion behind the last point: flat as the points may be, nobody has
    measured that it stays so.
    """

    def __init__(self, points: Iterable[tuple[float, float]], proportional: bool = False) -> None:
        groups = defaultdict(list)
        for x, y in points:
            groups[x].append(y)
        if not groups:
            raise ValueError("expected at least one measured point of the target; found none; profile the engine first")
        self._x = np.array(sorted(groups), dtype=float)
        self._y = _rising([median(groups[x]) for x in self._x])
        rise, run = np.diff(self._y), np.diff(self._x)
        # Noise may flatten the last piece; the whole curve's mean slope is the least that is plausible behind it.
        self._slope = max(rise[-1] / run[-1], rise.sum() / run.sum()) if len(rise) else 0.0
        if proportional:
            self._slope = max(self._slope, self._y[-1] / self._x[-1])
        self._slope = float(self._slope)
        self._points: tuple[list[float], list[float]] = (self._x.tolist(), self._y.tolist())

    @property
    def first(self) -> float:
        """The value at the first point and before it."""
        return float(self._y[0])

    def at(self, x: float) -> float:
        """The value at one place: the same in a tenth of the time."""
        xs, ys = self._points
        i = bisect_right(xs, x)
        if not i:
            return ys[0]
        if i == len(xs):
            return ys[-1] + self._slope * (x - xs[-1])
        return ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / (xs[i] - xs[i - 1])

    def __call__(self, x: Floats | float) -> Floats:
        """Values at `x`, of its shape."""
        return np.interp(x, self._x, self._y) + self._slope * np.maximum(0.0, x - self._x[-1])


def _rising(values: Sequence[float]) -> Floats:
    """The largest non-decreasing sequence below: a busy machine makes steps longer, and nothing makes them shorter, so
    what a later point did in less time, an earlier one can do."""
    return np.minimum.accumulate(np.array(values, dtype=float)[::-1])[::-1]
