"""Draft lengths of the highest goodput: expected tokens of a step by its time (SmartSpec, arXiv 2406.14066).

A request with conditional acceptance a and k drafts yields (1 - a^(k+1)) / (1 - a) tokens: its own one, and a^j for its
j-th draft. A drafter with a match only now and then yields its match rate of that.

The plan is exact. The target's time depends on the number of draft tokens in the batch, not on whose they are, so for
each number x the best x drafts are those of the x largest gains; no request's j-th gain is larger than its (j-1)-th, so
a stable sort takes none before its predecessor. Every x is looked at, whatever the shape of the time curve: flat pieces
and steps in it need no care. A draft model drafts as far as the longest draft of the batch for all requests, so its
length is a cap, and the best x is found below each cap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkllm.spec.arrays import Floats, Ints

__all__ = ["Gains", "Plan", "expected_tokens"]


def expected_tokens(acceptance: Floats | float, length: Ints | int, match: Floats | float = 1.0) -> Floats:
    """Tokens that a request yields in a step, the one that the target adds included.

    >>> expected_tokens(0.5, np.array([0, 1, 2])), expected_tokens(1.0, 3)
    (array([1.  , 1.5 , 1.75]), array(4.))
    """
    a, k = np.broadcast_arrays(np.asarray(acceptance, dtype=float), np.asarray(length))
    certain = a >= 1.0
    drafts = np.where(certain, k, (a - a ** (k + 1)) / np.where(certain, 1.0, 1.0 - a))
    return np.asarray(1.0 + match * drafts)


@dataclass(frozen=True)
class Plan:
    """A step's plan.

    Attributes:
        lengths: draft tokens to verify of each request, (n,).
        tokens: expected tokens of the step.
        seconds: its predicted time.
        risk: seconds that its drafts cost beyond what they are sure to gain; 0 or less where they cannot lose.
    """

    lengths: Ints
    tokens: float
    seconds: float
    risk: float = 0.0

    @property
    def drafts(self) -> int:
        """Draft tokens of the whole batch."""
        return int(self.lengths.sum())

    @property
    def goodput(self) -> float:
        """Expected tokens a second."""
        return self.tokens / self.seconds


class Gains:
    """Expected tokens of every draft that could be verified in a step, the largest first.

    Args:
        acceptance: conditional acceptance of each request, (n,), 0..1.
        caps: longest draft of each request, (n,).
        match: probability that the request's draft exists at all, (n,).
        sure: conditional acceptance that can be counted upon, (n,); left out, nothing can.
    """

    def __init__(self, acceptance: Floats, caps: Ints, match: Floats | float = 1.0, sure: Floats | None = None) -> None:
        self._n = n = len(acceptance)
        most = int(caps.max(initial=0))
        gains = _each(acceptance, most, match)
        # First drafts stand before second ones, so that a stable sort keeps the order within a request.
        drafts = np.flatnonzero(np.arange(1, most + 1)[:, None] <= caps)
        gain = gains.ravel()[drafts]
        order = np.argsort(-gain, kind="stable")
        level, self._request = np.divmod(drafts[order], max(1, n))
        self._gain, self._level = gain[order], level + 1
        self._sure = np.zeros(len(order)) if sure is None else _each(sure, most, match).ravel()[drafts][order]

    def __len__(self) -> int:
        return len(self._gain)

    def plan(
        self,
        verify: Floats,
        draft: float = 0.0,
        limit: float = np.inf,
        price: float | None = None,
        token: float = 0.0,
    ) -> Plan:
        """The best plan where drafting costs `draft` seconds, whatever is verified.

        Args:
            verify: seconds of the target's step with 0, 1, .. drafts, (len(self) + 1,) or longer.
            limit: no plan risks so many seconds.
            price: tokens that a second costs; the plan of the most tokens after that, not of the highest goodput.
            token: seconds that a sure token is worth.
        """
        tokens = self._n + np.concatenate(([0.0], np.cumsum(self._gain)))
        seconds = verify[: len(tokens)] + draft
        risk = seconds - seconds[0] - token * np.concatenate(([0.0], np.cumsum(self._sure)))
        value = tokens / seconds if price is None else tokens - price * seconds
        number = int(np.argmax(np.where(risk <= max(0.0, limit), value, -np.inf)))
        lengths = np.bincount(self._request[:number], minlength=self._n)
        return Plan(lengths, float(tokens[number]), float(seconds[number]), float(risk[number]))

    def best_length(
        self, verify: Floats, draft: Floats, limit: float = np.inf, token: float = 0.0
    ) -> tuple[int, float]:
        """The draft length to ask the drafter for, and the goodput it leads to; the shorter one where two are equal.

        Args:
            verify, limit, token: as for `plan`.
            draft: seconds of the drafter for lengths 0, 1, .. K, (K + 1,).
        """
        below = self._level <= np.arange(1, len(draft))[:, None]
        tokens = self._n + np.cumsum(np.where(below, self._gain, 0.0), axis=1)
        seconds = verify[np.cumsum(below, axis=1)] + draft[1:, None]
        risk = seconds - verify[0] - draft[0] - token * np.cumsum(np.where(below, self._sure, 0.0), axis=1)
        goodput = np.where(risk <= limit, tokens / seconds, 0.0).max(axis=1, initial=0.0)
        best = np.concatenate(([self._n / (verify[0] + draft[0])], goodput))
        length = int(np.argmax(best))
        return length, float(best[length])


def _each(acceptance: Floats, most: int, match: Floats | float) -> Floats:
    """Expected tokens of the first, second, .. draft of each request, (most, n)."""
    return np.asarray(match * np.cumprod(np.broadcast_to(acceptance, (most, len(acceptance))), axis=0))
