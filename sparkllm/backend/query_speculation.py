"""What the engine's speculation did while a query had streams: draft lengths belong to steps, and steps to all."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["QuerySpeculation"]


@dataclass
class _Query:
    streams: int = 0
    before: Mapping[str, int] = field(default_factory=dict)  # the engine's sums when the first of `streams` was opened
    sums: Counter[str] = field(default_factory=Counter)  # up to then


class QuerySpeculation:
    """Differences of the engine's sums; queries that run at the same time share their steps.

    Args:
        read: the engine's sums now.
        most: queries that are kept.
    """

    def __init__(self, read: Callable[[], Mapping[str, int]], most: int) -> None:
        self._read, self._most = read, most
        self._queries: OrderedDict[str, _Query] = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of(self, query: str) -> Iterator[None]:
        """A stream of `query` is open meanwhile."""
        with self._lock:
            found = self._queries.setdefault(query, _Query())
            self._queries.move_to_end(query)
            if len(self._queries) > self._most:
                self._queries.popitem(last=False)
            if not found.streams:
                found.before = self._read()
            found.streams += 1
        try:
            yield
        finally:
            with self._lock:
                found.streams -= 1
                if not found.streams:
                    found.sums = self._since(found)

    def sums(self, query: str | None) -> dict[str, int]:
        """`speculation_<name>` for each of the engine's sums: of a query, or of all since the engine began."""
        with self._lock:
            found = self._queries.get(query) if query is not None else None
            if found is None:
                sums = Counter(self._read() if query is None else dict.fromkeys(self._read(), 0))
            else:
                sums = self._since(found) if found.streams else found.sums
        return {f"speculation_{name}": n for name, n in sums.items()}

    def _since(self, found: _Query) -> Counter[str]:
        now = self._read()
        # Not a sum but a state: a choice that has failed has failed for every query from then on.
        state = {"fallbacks": now["fallbacks"]} if "fallbacks" in now else {}
        return Counter({name: found.sums[name] + n - found.before.get(name, 0) for name, n in now.items()} | state)
