"""How likely the target accepts the next draft token, for each request and for the whole fleet of them.

The conditional acceptance a is position-free: the probability that a draft token is accepted, given that all before it
were (SmartSpec, arXiv 2406.14066). A verified draft of d tokens of which m are accepted is m trials that
went well and, if m < d, one that did not; the tokens behind the first rejection are no trials. Hence

    a = accepted / (accepted + first rejections)

and not accepted / drafted, which is too low by the tokens that were never looked at.

Three levels, each the prior of the next: an optimistic constant, the fleet, the request. Evidence fades with every
step, so a jump is followed; where none arrives, a request goes back to the fleet's mean and the fleet to the constant.
How much the fleet weighs against a request's own trials is read off the fleet: requests that differ no more than luck
alone would make them are taken to be alike (empirical Bayes, the beta-binomial by its moments).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sparkllm.spec.arrays import Floats, Ints

__all__ = ["Acceptance", "Estimates"]

_ACCEPTED, _REJECTED, _MATCHES, _ASKED = range(4)
_FAILED = 4.0  # trials that may fail without a surprise


class Estimates(NamedTuple):
    """Of n requests, (n,) each.

    Attributes:
        acceptance: conditional acceptance, 0..1.
        match_rate: share of its steps in which the drafter finds a match, 0..1: n-gram and suffix drafters.
        trials: evidence behind the request's own acceptance, after fading.
        sure: acceptance that can be counted upon: what it is were the next few trials all to fail, 0..1.
    """

    acceptance: Floats
    match_rate: Floats
    trials: Floats
    sure: Floats


class Acceptance:
    """Counts that fade, by request and over all requests.

    Args:
        prior: acceptance and match rate before any evidence; optimistic, so that drafting is tried.
        prior_trials: trials that the constant prior is worth to the fleet.
        fleet_trials: least and most trials that the fleet's mean is worth to a request.
        fleet_fade, request_fade: share of the evidence kept from one step to the next.
        most_trials: no more of the fleet's evidence is kept; a large batch fills it in a step or two.
    """

    def __init__(
        self,
        prior: float = 0.8,
        prior_trials: float = 2.0,
        fleet_trials: tuple[float, float] = (8.0, 100.0),
        fleet_fade: float = 0.96,
        request_fade: float = 0.97,
        most_trials: float = 500.0,
    ) -> None:
        self._prior, self._prior_trials, self._fleet_trials = prior, prior_trials, fleet_trials
        self._fleet_fade, self._request_fade, self._most_trials = fleet_fade, request_fade, most_trials
        self._fleet = np.zeros(4)
        self._counts = np.zeros((64, 4))
        self._row: dict[str, int] = {}
        self._free: list[int] = []

    @property
    def mean(self) -> float:
        """The fleet's conditional acceptance, 0..1."""
        return self._of_fleet(_ACCEPTED, self._fleet[_ACCEPTED] + self._fleet[_REJECTED])

    @property
    def match_rate(self) -> float:
        """Share of the asked steps and requests in which the drafter proposed something, 0..1."""
        return self._of_fleet(_MATCHES, self._fleet[_ASKED])

    def estimates(self, ids: Sequence[str]) -> Estimates:
        """What is known of each request, which is remembered from here on; of a new one, what is known of the fleet."""
        for request_id in [i for i in ids if i not in self._row]:
            self._add_row(request_id)
        good, bad, matches, asked = self._counts[self._rows(ids)].T
        trials, least = good + bad, self._fleet_trials[0]
        alike = self._alike(good, trials)
        acceptance = _shrunk(good, trials, self.mean, alike)
        seen = self._fleet[_ACCEPTED] + self._fleet[_REJECTED]
        of_fleet = self._fleet[_ACCEPTED] / (seen + self._prior_trials)  # no optimism
        lent = min(alike, seen)
        sure = (good + of_fleet * lent) / (trials + lent + _FAILED)
        return Estimates(acceptance, _shrunk(matches, asked, self.match_rate, least), trials, sure)

    def observe(self, steps: Sequence[Sequence[tuple[str, int, int]]]) -> None:
        """Verified steps: (request id, draft tokens verified, accepted) of each request; 0 verified only fades.

        Of several at once only what was before them fades. A request that is not or no longer remembered tells about
        the fleet alone.
        """
        sums: dict[str, list[float]] = {}
        for step in steps:
            for request_id, drafted, accepted in step:
                counts = sums.setdefault(request_id, [0.0, 0.0])
                counts[0] += min(accepted, drafted)
                counts[1] += accepted < drafted
        if sums:
            good, bad = np.array([*sums.values()]).T
            self._add([*sums], _ACCEPTED, good, bad, len(steps))

    def fade(self, steps: int) -> None:
        """So many steps have gone by that tell nothing."""
        self._counts[:, : _REJECTED + 1] *= self._request_fade**steps
        self._fleet[: _REJECTED + 1] *= self._fleet_fade**steps

    def offer(self, ids: Sequence[str], matched: np.ndarray) -> None:
        """One step's proposals: whether the drafter that was asked found a match for each request, (n,) bool."""
        self._add(ids, _MATCHES, matched.astype(float), np.ones(len(ids)))

    def forget(self, request_id: str) -> None:
        """The request has ended."""
        row = self._row.pop(request_id, None)
        if row is not None:
            self._counts[row] = 0.0
            self._free.append(row)

    def _add(self, ids: Sequence[str], first: int, one: Floats, two: Floats, steps: int = 1) -> None:
        pair = slice(first, first + 2)
        rows = np.array([self._row.get(i, -1) for i in ids], dtype=np.int64)
        counts = self._counts[rows, pair] * self._request_fade**steps + np.column_stack((one, two))
        self._counts[rows[rows >= 0], pair] = counts[rows >= 0]
        fleet = self._fleet[pair] * self._fleet_fade**steps + (one.sum(), two.sum())
        self._fleet[pair] = fleet * min(1.0, self._most_trials / max(fleet.sum(), 1.0))

    def _of_fleet(self, good: int, trials: float) -> float:
        return float((self._fleet[good] + self._prior * self._prior_trials) / (trials + self._prior_trials))

    def _alike(self, good: Floats, trials: Floats) -> float:
        """Trials that the fleet's mean is worth to each of these requests."""
        least, most = self._fleet_trials
        whole = float(trials.sum())
        spare = whole - float(trials @ trials) / whole if whole else 0.0
        if spare < 1.0:
            return least  # one request at most has been tried
        mean = float(good.sum()) / whole
        chance = mean * (1.0 - mean)
        away = good - mean * trials
        # Of few requests luck alone may be twice its mean: a standard deviation more (of chi-square) is luck, too.
        others = max(int(np.count_nonzero(trials)) - 1, 0)
        luck = (others + (2.0 * others) ** 0.5) * chance
        between = (float((away * away / np.maximum(trials, 1e-9)).sum()) - luck) / spare
        return most if between <= 0 else min(most, max(least, chance / between - 1.0))

    def _add_row(self, request_id: str) -> None:
        row = self._free.pop() if self._free else len(self._row)
        if row >= len(self._counts):
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
        self._row[request_id] = row

    def _rows(self, ids: Sequence[str]) -> Ints:
        return np.array([self._row[i] for i in ids], dtype=np.int64)


def _shrunk(good: Floats, trials: Floats, mean: float, prior: float) -> Floats:
    return (good + mean * prior) / (trials + prior)
