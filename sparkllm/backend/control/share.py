"""The engine's side of leasing: its part of one limit of a query."""

from __future__ import annotations

from sparkllm.backend.control.messages import Holding

__all__ = ["Share"]


class Share:
    """Reserve before asking, settle after; what is neither spent nor reserved can be given back.

    >>> share = Share()
    >>> share.granted = 100
    >>> share.reserve(70)
    >>> share.settle(70, spent=20)
    >>> share.free
    80
    """

    def __init__(self) -> None:
        self.granted = 0
        self.used = 0
        self.reserved = 0
        self._used_before = 0

    @property
    def free(self) -> int:
        """What may be reserved now."""
        return self.granted - self.used - self.reserved

    def reserve(self, amount: int) -> None:
        """Set aside for a request; the caller has seen that it is free."""
        self.reserved += amount

    def settle(self, reserved: int, spent: int) -> None:
        """A request has ended and spent at most what was reserved."""
        self.reserved -= reserved
        self.used += spent

    def lower(self, keep: int) -> None:
        """Give back what is free beyond `keep`."""
        self.granted -= max(0, self.free - keep)

    def spent_lately(self) -> int:
        """Since the last call: what the time until the next may take."""
        lately, self._used_before = self.used - self._used_before, self.used
        return lately

    def holding(self, need: int = 0, want: int = 0) -> Holding:
        """As it is told to the driver."""
        return Holding(self.used, self.reserved, self.granted, need, want)
