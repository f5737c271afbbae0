"""The driver's side of leasing: one limit of a query, divided among its engines."""

from __future__ import annotations

from collections.abc import Collection

from sparkllm.backend.control.messages import Holding

__all__ = ["Pool"]

# An engine gets at most this share of what is left, divided by the engines: pieces shrink as the end nears, so that
# little lies idle in one engine while another waits for it.
_SHARE = 0.5


class Pool:
    """What is granted never exceeds the limit, and no engine spends more than it was granted.

    That holds whatever messages are lost: an engine lowers what it holds before it tells so, and a grant whose message
    was lost is taken back with the engine's next report. What a lost engine held counts as spent.

    >>> pool = Pool(10)
    >>> pool.settle("a", Holding())
    >>> pool.grant("a", need=1, want=8, live={"a", "b"})
    2
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: dict[str, Holding] = {}

    @property
    def used(self) -> int:
        """Spent for good, as far as engines have told."""
        return sum(held.used for held in self._held.values())

    @property
    def free(self) -> int:
        """What nobody holds."""
        return self.limit - sum(held.granted for held in self._held.values())

    def settle(self, engine: str, told: Holding) -> None:
        """Take down what an engine has spent and what it still holds; it cannot raise that by itself."""
        had = self._held.get(engine, Holding())
        granted = max(min(told.granted, had.granted), told.used)
        self._held[engine] = Holding(told.used, told.reserved, granted)

    def grant(self, engine: str, need: int, want: int, live: Collection[str]) -> int:
        """What the engine gets on top: at least `need`, else nothing; call `settle` before."""
        if not need or self.free < need:
            return 0
        extra = max(need, min(want, int(self.free * _SHARE / max(1, len(live)))))
        held = self._held[engine]
        self._held[engine] = held._replace(granted=held.granted + extra)
        return extra

    def hopeless(self, need: int, live: Collection[str]) -> bool:
        """Whether `need` can never be granted: not even when all that live engines hold were given back unspent."""
        outstanding = sum(held.granted - held.used for engine, held in self._held.items() if engine in live)
        return self.free + outstanding < need
