"""How many steps a choice of draft lengths stands, so that choosing costs next to nothing.

A choice takes half a millisecond to two; a step of a small model, or of a large one on a fast GPU, takes ten. What a
choice is made of, acceptance and step times, changes slowly, so requests keep their lengths for some steps: as many as
bring the choice's time down to a two-hundredth of theirs; few after a choice unlike the one before, twice as many after
each one like it. Requests come and go meanwhile, in a large batch at nearly every step: a choice stands while few of
them have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["Hold"]

_COST = 0.005
_MOST_STEPS = 16  # that one choice is good for, its own included
_ALIKE = 0.25  # relative difference of their draft tokens; share of the requests that may have come or gone


class Hold:
    """The last choice, and for how many further steps it stands."""

    def __init__(self) -> None:
        self._lengths: Mapping[str, int] = {}
        self._asked, self._with_prefill = 0, False
        self._left, self._most = 0, 1

    def take(self, ids: Sequence[str], prefill: bool = False) -> list[int] | None:
        """The lengths that still stand for a step with these requests, in their order; None: choose anew.

        A request that was not there verifies as much as the drafter is asked for.

        Args:
            ids: the requests that decode.
            prefill: whether the step will have prompts in it, too. It takes longer for them, so drafts cost it less: a
                choice for such a step is none for the others.
        """
        known = sum(i in self._lengths for i in ids)
        changed = max(len(ids), len(self._lengths)) - known
        if not self._left or changed > _ALIKE * len(ids) or (self._with_prefill and not prefill):
            self._left = 0
            return None
        self._left -= 1
        return [self._lengths.get(i, self._asked) for i in ids]

    def keep(self, chosen: Mapping[str, int], there: Mapping[str, int], asked: int, prefill: bool = False) -> None:
        """These lengths were chosen.

        Args:
            chosen: draft tokens to verify, by request.
            there: draft tokens that it had to choose from.
            asked: what the drafter is asked for from now on: a request that verifies all it has will verify so many.
            prefill: whether they are for a step with prompts in it.
        """
        lengths = {i: asked if k >= there[i] else min(k, asked) for i, k in chosen.items()}
        mean, before = _mean(lengths), _mean(self._lengths)
        alike = bool(self._lengths) and abs(mean - before) <= _ALIKE * max(mean, before)
        self._most = min(_MOST_STEPS, 2 * self._most) if alike else 1
        self._lengths, self._asked, self._with_prefill, self._left = lengths, asked, prefill, 0

    def end(self) -> None:
        """The choice does not stand any longer."""
        self._left = 0

    def chose(self, spent: float, seconds: float) -> None:
        """The choice took `spent` seconds, in a step of `seconds`."""
        if seconds > 0:
            self._left = min(self._most, math.ceil(spent / (_COST * seconds))) - 1


def _mean(lengths: Mapping[str, int]) -> float:
    return sum(lengths.values()) / max(1, len(lengths))
