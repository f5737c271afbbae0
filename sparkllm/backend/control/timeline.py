"""How many requests an engine had at once, and how long its drafts were, while a query ran: few numbers, however long.

An engine looks twenty times a second; when its series is full, each two neighbours become one. The driver gets the
whole series with every report, so that a lost one loses nothing, and puts those of several engines beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

__all__ = ["PERIOD_SECONDS", "Load", "Moment", "Recorder", "Series", "merged"]

PERIOD_SECONDS = 0.25
_MOST = 120  # points of one series: half a minute at full resolution, an hour at half a minute each


class Load(NamedTuple):
    """What an engine has now, of all queries: steps are shared.

    Attributes:
        requests: under way in it, at most as many as one step takes.
        steps, decodes, drafted: sums since its start, where it speculates: steps that decoded, requests in them, and
            draft tokens verified.
    """

    requests: int
    steps: int = 0
    decodes: int = 0
    drafted: int = 0


class Point(NamedTuple):
    """One period: the requests of each look and the number of looks, and what the sums of `Load` grew by."""

    requests: int = 0
    looks: int = 0
    steps: int = 0
    decodes: int = 0
    drafted: int = 0

    def plus(self, other: Point) -> Point:
        """Both together."""
        return Point(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Series:
    """One engine's periods, of `period` seconds each.

    Attributes:
        age: how long ago the first one began, in seconds.
    """

    age: float = 0.0
    period: float = PERIOD_SECONDS
    points: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Moment:
    """A query's engines at one time.

    Attributes:
        seconds: since the query's first request; the middle of the period that this is the mean of.
        requests: that the engines had at once, of all queries, at most as many as their steps take.
        decoding: requests in a step that decoded; None where no engine speculates, or none decoded.
        draft_length: draft tokens verified for each of them; None likewise.
    """

    seconds: float
    requests: float
    decoding: float | None = None
    draft_length: float | None = None


class Recorder:
    """One query's series in the engine. `now` is in seconds, on any clock that only goes forward.

    >>> recorder = Recorder(10.0, Load(0), most=4)
    >>> for look in range(6):
    ...     recorder.look(10.0 + look / 4, Load(look))
    >>> recorder.series(11.5).period, [point.requests / point.looks for point in recorder.series(11.5).points]
    (0.5, [0.5, 2.5, 4.5])
    """

    def __init__(self, now: float, load: Load, most: int = _MOST) -> None:
        self._began, self._looked, self._before, self._most = now, now, load, most
        self._period, self._points = PERIOD_SECONDS, [Point()]

    def look(self, now: float, load: Load) -> None:
        """Take down what the engine has now; since the last look, however long ago, it had requests."""
        grown = [new - old for new, old in zip(load[1:], self._before[1:], strict=True)]
        while self._at(now) >= self._most:
            self._halve()
        before, at = self._at(self._looked), self._at(now)
        self._looked, self._before = now, load
        self._points += [Point()] * (at + 1 - len(self._points))
        self._points[at] = self._points[at].plus(Point(load.requests, 1, *grown))
        # A server that was held up did not look, while its engine went on.
        for missed in range(before + 1, at):
            self._points[missed] = Point(load.requests, 1)

    def resume(self, now: float, load: Load) -> None:
        """After a pause, in which the sums grew for others."""
        self._looked, self._before = now, load

    def series(self, now: float) -> Series:
        """All so far."""
        return Series(now - self._began, self._period, tuple(self._points))

    def _at(self, now: float) -> int:
        return int((now - self._began) / self._period)

    def _halve(self) -> None:
        self._points.append(Point())  # to the last one of an odd number
        pairs = zip(self._points[::2], self._points[1::2], strict=False)
        self._points, self._period = [one.plus(other) for one, other in pairs], 2 * self._period


def merged(series: Sequence[tuple[float, Series]]) -> tuple[Moment, ...]:
    """Those of several engines as one, each beside the time it was told at, by the driver's clock.

    >>> one, other = Series(1.0, 0.5, (Point(8, 2), Point(4, 2))), Series(0.5, 0.5, (Point(6, 1, 2, 12, 36),))
    >>> [(m.seconds, m.requests, m.decoding, m.draft_length) for m in merged([(7.0, one), (7.0, other)])]
    [(0.25, 4.0, None, None), (0.75, 8.0, 6.0, 3.0)]
    """
    told = [(now - one.age, one) for now, one in series if any(point.looks for point in one.points)]
    if not told:
        return ()
    began, period = min(start for start, _ in told), max(one.period for _, one in told)
    columns: dict[int, list[Point]] = {}
    for start, one in told:
        coarse: dict[int, Point] = {}
        for number, point in enumerate(one.points):
            at = int((start - began + (number + 0.5) * one.period) / period)
            coarse[at] = coarse.get(at, Point()).plus(point)
        for at, point in coarse.items():
            columns.setdefault(at, []).append(point)
    moments = [_moment((at + 0.5) * period, columns.get(at, [])) for at in range(max(columns) + 1)]
    return _from_the_first_request(moments, period)


def _from_the_first_request(moments: Sequence[Moment], period: float) -> tuple[Moment, ...]:
    """Without the time in which an engine only looked into the ledger, or waited for a budget."""
    first = next((number for number, moment in enumerate(moments) if moment.requests), len(moments))
    return tuple(replace(moment, seconds=moment.seconds - first * period) for moment in moments[first:])


def _moment(seconds: float, points: Sequence[Point]) -> Moment:
    requests = sum(point.requests / point.looks for point in points if point.looks)
    steps, decodes, drafted = (
        sum(getattr(point, name) for point in points) for name in ("steps", "decodes", "drafted")
    )
    if not steps or not decodes:
        return Moment(seconds, requests)
    return Moment(seconds, requests, decodes / steps, drafted / decodes)
