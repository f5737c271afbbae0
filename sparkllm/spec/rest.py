"""When the choice of draft lengths is left out, because it would take longer than it could gain.

A choice takes half a millisecond to two. Where steps take tens of them that is nothing; where a small model's steps
take a few, and drafts do not pay, it would be the one cost of speculation. So its time is booked: a share of each step
(share.py) and what accepted drafts saved stand against it, and where too little stands there, it rests until the steps
have made up for it, or until the batch has grown or shrunk by a quarter: what did not pay in a batch of sixteen may in
one of eight. While there is nothing to choose from, one step in sixteen is looked at, for the step times alone.
"""

from __future__ import annotations

import math

from sparkllm.spec.share import share

__all__ = ["Rest"]

_MOST_STEPS = 100  # of one rest
_SAVED = 10  # choices that gained nothing, from which on there is rest
_QUIET_STEPS = 16
_SHRUNK = 0.75  # a smaller batch by the larger one


class Rest:
    """Says before each step whether to leave the choice out."""

    def __init__(self) -> None:
        self._steps, self._quiet = 0, 0
        self._balance: float | None = None  # seconds; unknown before the first choice has taken its time
        self._most = 0.0
        self._tried = 0  # batch of the choices that the balance tells of

    def now(self, quiet: bool, batch: int) -> bool:
        """Whether to leave it out; `quiet` where there is nothing to choose from for these requests."""
        if min(batch, self._tried) < _SHRUNK * max(batch, self._tried):
            self._tried, self._steps, self._balance = batch, 0, None
        if self._steps:
            self._steps -= 1
            return True
        self._quiet = self._quiet + 1 if quiet else 0
        return self._quiet % _QUIET_STEPS > 0

    def chose(self, spent: float, seconds: float, gained: float) -> None:
        """A choice took `spent` seconds, and its accepted drafts saved `gained`, in a step of `seconds`."""
        self._most, allowed = _SAVED * spent, share(self._tried) * seconds
        balance = self._most if self._balance is None else self._balance
        self._balance = min(self._most, balance + gained + allowed - spent)
        if self._balance < 0:
            wanted = math.ceil(-self._balance / allowed) if allowed else _MOST_STEPS
            self._steps, self._balance = min(_MOST_STEPS, wanted), 0.0

    def held(self, seconds: float, gained: float) -> None:
        """A step of `seconds` for which an earlier choice stood; its accepted drafts saved `gained`."""
        if self._balance is not None:
            self._balance = min(self._most, self._balance + gained + share(self._tried) * seconds)
