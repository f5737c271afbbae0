"""What the progress bar says of a query: from counters to the parts of a line, as far as they are known."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Line", "Pace", "Running"]

_RATE_SECONDS = 10.0
# Before that, the first rows say more of the engine's start than of the rest.
_LEAST_SECONDS = 2.0


@dataclass(frozen=True)
class Running:
    """A query with calls, as Spark's driver sees it (RunningCalls.scala).

    Attributes:
        query: Spark's id of the SQL execution, or such as "stage-7".
        runs: False for the last time that it is told of.
        progress: the setting with which it runs.
        tasks, done: of its stages with calls that have begun.
        rows: that have their answers; those of tasks under way as of the last heartbeat, ten seconds apart.
        of_rows: all there are, over all calls; None where Spark has not counted them.
        seconds: since the first such stage began.
    """

    query: str
    runs: bool
    progress: str
    tasks: int
    done: int
    rows: int
    of_rows: int | None
    seconds: float

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Running:
        """Read what RunningCalls.scala wrote."""
        return cls(**raw)


@dataclass(frozen=True)
class Line:
    """One query's line.

    Attributes:
        name: of the query.
        share: how much is done, 0..1; of the rows where their number is known, else of the tasks.
        parts: texts with their weights; where the line is too long, the lightest go first.
    """

    name: str
    share: float
    parts: tuple[tuple[str, int], ...]

    def fitted(self, width: int) -> str:
        """The parts that fit into so many characters, in their order.

        >>> Line("query 6", 0.5, (("4/8 rows", 2), ("1/2 tasks", 0), ("0:12", 1))).fitted(16)
        '4/8 rows  0:12'
        """
        parts = list(self.parts)
        while parts and len(_joined(parts)) > width:
            parts.remove(min(parts, key=lambda part: part[1]))
        return _joined(parts)


@dataclass
class Pace:
    """Of one query: what was known before, for speeds and the time left. `now` is in seconds on a monotonic clock."""

    _tokens: deque[tuple[float, int]] = field(default_factory=deque)
    _began: float | None = None
    _rows: int = 0
    _rows_at: float = 0.0

    def line(self, running: Running, counters: Mapping[str, int] | None, now: float) -> Line:
        """What is known now; `counters` is what engines have told (`QueryProgress.counters`), None while nothing."""
        share = running.done / max(1, running.tasks)
        of = ""
        if running.of_rows is not None:
            share, of = running.rows / max(1, running.of_rows), f"/{running.of_rows:,}"
        weight = 0 if running.of_rows is not None else 6
        # Rows come in windows of hundreds: the first ones may take a while, and of how many is not known.
        parts = [(f"{running.rows:,}{of} rows", 5)] if running.rows or of else []
        parts.append((f"{running.done}/{running.tasks} tasks", weight))
        if counters is None:
            parts.append(("no answer yet", 4))
        else:
            parts += self._asked(counters, now)
        left = None if counters is None else self._left(running, now)
        parts.append((_clock(running.seconds), 1))
        if left is not None:
            parts.append((f"{_clock(left)} left", 7))
        return Line(_name(running.query), min(1.0, share), tuple(parts))

    def _asked(self, counters: Mapping[str, int], now: float) -> list[tuple[str, int]]:
        self._began = now if self._began is None else self._began
        prompt, cached = counters.get("prompt_tokens", 0), counters.get("cached_tokens", 0)
        parts = [(f"{counters.get('finished', 0):,} calls", 3)]
        if counters.get("from_ledger"):
            parts.append((f"{counters['from_ledger']:,} kept", 2))
        rate = self._rate(prompt + counters.get("output_tokens", 0), now)
        if rate is not None:
            parts.append((f"{rate:,.0f} tok/s", 8))
        if prompt:
            parts.append((f"{100 * cached / prompt:.0f} % hits", 6))
        return parts

    def _rate(self, tokens: int, now: float) -> float | None:
        """Tokens a second, over the last ten; engines tell each second, so that a single one would jump."""
        if not self._tokens or tokens != self._tokens[-1][1] or now - self._tokens[-1][0] >= 1:
            self._tokens.append((now, tokens))
        while len(self._tokens) > 2 and now - self._tokens[1][0] >= _RATE_SECONDS:
            self._tokens.popleft()
        (before, least), (last, most) = self._tokens[0], self._tokens[-1]
        return (most - least) / (last - before) if last - before >= 1 else None

    def _left(self, running: Running, now: float) -> float | None:
        """By the rows that have come since engines answer, at the moment they were counted; None: nobody knows."""
        if running.rows != self._rows:
            self._rows, self._rows_at = running.rows, now
        if running.of_rows is None or self._began is None or not self._rows or not running.runs:
            return None
        took = self._rows_at - self._began
        if took < _LEAST_SECONDS:
            return None
        left = took * (running.of_rows - self._rows) / self._rows - (now - self._rows_at)
        return left if left >= 1 else None


def _joined(parts: list[tuple[str, int]]) -> str:
    return "  ".join(text for text, _ in parts)


def _name(query: str) -> str:
    return f"query {query}" if query.isdigit() else query.replace("-", " ")


def _clock(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`.

    >>> _clock(3723.9)
    '1:02:03'
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
