"""How many steps a choice of draft lengths stands, so that choosing costs next to nothing.

A choice takes half a millisecond; a step of a small model, or of a large one on a fast GPU, takes ten. What a choice is
made of, acceptance and step times, changes slowly, so the same requests keep their lengths for some steps: as many as
bring the choice's time down to a two-hundredth of theirs; few after a choice unlike the one before, twice as many after
each one like it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["Hold"]

_COST = 0.005
_MOST_STEPS = 16  # that one choice is good for, its own included
_ALIKE = 0.25  # relative difference of their draft tokens


class Hold:
    """The last choice, and for how many further steps it stands."""

    def __init__(self) -> None:
        self._lengths: Mapping[str, int] = {}
        self._left, self._most = 0, 1

    def take(self, ids: Sequence[str]) -> Mapping[str, int] | None:
        """The lengths that still stand for a step with exactly these requests; None: choose anew."""
        if not self._left or len(ids) != len(self._lengths) or not all(i in self._lengths for i in ids):
            self._left = 0
            return None
        self._left -= 1
        return self._lengths

    def keep(self, chosen: Mapping[str, int], there: Mapping[str, int], asked: int) -> None:
        """These lengths were chosen.

        Args:
            chosen: draft tokens to verify, by request.
            there: draft tokens that it had to choose from.
            asked: what the drafter is asked for from now on: a request that verifies all it has will verify so many.
        """
        lengths = {i: asked if k >= there[i] else min(k, asked) for i, k in chosen.items()}
        drafts, before = sum(lengths.values()), sum(self._lengths.values())
        alike = len(lengths) == len(self._lengths) and abs(drafts - before) <= _ALIKE * max(drafts, before)
        self._most = min(_MOST_STEPS, 2 * self._most) if alike else 1
        self._lengths, self._left = lengths, 0

    def end(self) -> None:
        """The choice does not stand any longer."""
        self._left = 0

    def chose(self, spent: float, seconds: float) -> None:
        """The choice took `spent` seconds, in a step of `seconds`."""
        if seconds > 0:
            self._left = min(self._most, math.ceil(spent / (_COST * seconds))) - 1
