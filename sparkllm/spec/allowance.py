"""Time that speculation may lose against not speculating, and what of it goes into probes.

Estimates that fade toward an optimistic prior must err now and then, at the running system's cost. Here that cost is
booked: each step earns a small share of its time, a step with drafts pays what it took longer than one without and is
paid for the tokens it gained. No step may risk more than the account holds: what its drafts cost beyond the tokens that
they are sure to gain by what was seen (`Estimates.sure`). So speculation loses at most that share, plus what is lent at
start, plus the few steps in which what was seen to pay has just ceased to, as long as predicted times are right. An
empty account leads back in small steps: a single draft is affordable soon, and where drafts gain, evidence carries the
next plan past steps in the time curve that no account would pay for, as of 64 requests whose 65th token takes a second
pass through the weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparkllm.spec.arrays import Floats, Ints
from sparkllm.spec.share import share

__all__ = ["Allowance"]

_KNOWN = 4.0  # faded trials from which on a request's own estimate needs no probe
_HASTE = 3.0  # probes may cost this many times what steps earn, while something is saved


class Allowance:
    """The account, in seconds.

    Args:
        most_steps: no more than the time of that many steps is saved: it can be lost at once when acceptance falls.
        first_steps: the time of that many steps is lent at start.
    """

    def __init__(self, most_steps: float = 8.0, first_steps: float = 1.0) -> None:
        self._most_steps, self._first_steps = most_steps, first_steps
        self.balance: float | None = None  # unknown before the first step has a time
        self._ahead = 0.0  # seconds of probes that are still to be earned, at their pace

    def limit(self, plain: float) -> float:
        """Seconds that a step of `plain` seconds may risk for its drafts."""
        return max(0.0, self._had(plain))

    def settle(self, plain: float, seconds: float, gained: float, token: float, batch: int) -> None:
        """Book one step.

        Args:
            plain: seconds of the step without drafts.
            seconds: its seconds with them.
            gained: draft tokens accepted.
            token: seconds that a token takes without drafts.
            batch: requests that decode.
        """
        self.balance = self._had(plain) + gained * token - (seconds - plain)
        self.earn(plain, plain, batch)

    def earn(self, seconds: float, plain: float, batch: int) -> None:
        """So much time has gone by, in steps of `batch` requests that take `plain` seconds without drafts."""
        if plain <= 0:  # nothing has been chosen yet: what is lent at start is still to come
            return
        earned = share(batch) * seconds
        self.balance = min(self._had(plain) + earned, self._most_steps * plain)
        self._ahead = max(0.0, self._ahead - _HASTE * earned)

    def _had(self, plain: float) -> float:
        return self._first_steps * plain if self.balance is None else self.balance

    @property
    def may_probe(self) -> bool:
        """Whether the last probe has been earned: savings are not spent on probes alone, step after step."""
        return self._ahead <= 0.0

    def probed(self, seconds: float) -> None:
        """Probes cost so much, their drafting included."""
        self._ahead += seconds

    @staticmethod
    def thin(evidence: Floats) -> NDArray[np.bool_]:
        """Whose estimate is worth a probe, by the trials behind it."""
        return evidence < _KNOWN

    def probes(self, evidence: Floats, cost: Floats, limit: float, token: float, asked: float) -> Ints:
        """Which of the requests that verify nothing verify one draft all the same, those known least first.

        Args:
            evidence: trials behind each such request's estimate, (n,).
            cost: seconds of 0, 1, .. further draft tokens in this step, (n + 1,) or shorter.
            limit: seconds that the step may still take.
            token: seconds that a token takes without drafts; a probe that costs more could not pay if it were accepted.
            asked: seconds that the drafter took for these drafts; it is worth as much again to look at them.
        """
        if len(cost) < 2 or cost[1] >= token:
            return np.zeros(0, dtype=np.int64)
        spend = min(limit, max(_HASTE * share(len(evidence)) * token * len(evidence), float(cost[1]), asked))
        order = np.argsort(evidence, kind="stable")[: np.searchsorted(cost[1:], spend, side="right")]
        return order[self.thin(evidence[order])]
