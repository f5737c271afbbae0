"""What a draft model takes, by the requests, the draft length it is asked for, and the context it looks up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from sparkllm.spec.arrays import Floats
from sparkllm.spec.context_cost import slope
from sparkllm.spec.profile import Curve

__all__ = ["DraftTime"]


class DraftTime:
    """A table by requests and draft length, and a cost of each context token for each draft.

    Args:
        points: as `Profile.draft`; a drafter without points costs nothing.
    """

    def __init__(self, points: Sequence[Sequence[float]]) -> None:
        measured = [(int(p[0]), int(p[1]), p[2], p[3] if len(p) > 3 else 0.0) for p in points]
        self._context = _of_context(measured)
        self._points = [(n, k, s - self._context * context * k) for n, k, s, context in measured]
        self._table: dict[tuple[int, int], Floats] = {}

    def seconds(self, requests: int, context: float, most: int) -> Floats:
        """Of draft lengths 0, 1, .. `most` for so many requests with `context` tokens over all of them, (most + 1,)."""
        if not self._points or not requests:
            return np.zeros(most + 1)
        if (requests, most) not in self._table:
            self._table[requests, most] = self._without_context(requests, most)
        return self._table[requests, most] + self._context * context * np.arange(most + 1.0)

    def _without_context(self, requests: int, most: int) -> Floats:
        groups = defaultdict(list)
        for n, length, seconds in self._points:
            groups[n].append((length, seconds))
        lengths = np.arange(most + 1.0)
        table = {n: Curve(group)(lengths) for n, group in groups.items()}
        by_batch = [Curve((n, times[k]) for n, times in table.items()) for k in range(most + 1)]
        return np.array([float(curve(requests)) for curve in by_batch])


def _of_context(points: Sequence[tuple[int, int, float, float]]) -> float:
    """Seconds of a context token for each draft; from points of the same requests and length with other contexts."""
    groups = defaultdict(list)
    for requests, length, seconds, context in points:
        groups[requests, length].append((context * length, seconds))
    away = [np.array(group) - np.mean(group, axis=0) for group in groups.values()]
    looked_up, longer = np.concatenate(away).T if away else np.zeros((2, 0))
    return slope(looked_up, longer)
