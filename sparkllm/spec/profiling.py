"""The profile of an engine, measured with requests of its own before it serves any other.

The engine's owner sends rounds of requests named `<prefix><round>-<batch>-<number>`. Once a round's whole batch
decodes, its steps go through a schedule of (draft tokens to verify, draft length to ask the drafter for); after two
times through, the round ends by itself. A step that verifies asks for nothing and the other way round, so that

    seconds(verify, 0) = target(batch * (1 + verify))     seconds(0, ask) - seconds(0, 0) = draft(batch, ask)

What a drafter does when nothing is asked of it (a draft model's forward pass that keeps its KV cache in step) counts
as the target's. Drafts to verify are made up where the worker takes them from the scheduler: any tokens cost the same.

A shared machine is half as fast for a second and then is not: what was measured in the one and the other must not be
compared. So every draft length is measured beside plain steps, and what counts is how many times longer it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from sparkllm.spec.profile import Profile

__all__ = ["Measurement", "Profiling", "profile_of"]

_WARM_UP = 2
_REPEATS = 3
_LARGE = 16  # requests, from which on single draft lengths make a difference
_PLAIN = (0, 0)


@dataclass(frozen=True)
class Measurement:
    """One step of a round: all `batch` requests verified `verified` drafts each; the drafter was asked for `asked`."""

    round: int
    batch: int
    context: int
    verified: int
    asked: int
    seconds: float


class Profiling:
    """Plans the steps of the rounds and keeps what they took.

    Args:
        prefix: how the names of the rounds' requests begin; empty: there are no rounds.
        most: longest draft, K.
        asks: whether the drafter's time depends on what it is asked for, as a draft model's does.
        makes_up: whether the scheduler may hand the worker drafts of its own: not under asynchronous scheduling.
    """

    def __init__(self, prefix: str, most: int, asks: bool, makes_up: bool) -> None:
        self.measurements: list[Measurement] = []
        self._prefix, self._makes_up = prefix, makes_up
        self._plan_of = lambda batch: _plan(most, asks, makes_up, batch >= _LARGE)
        self._plan = self._plan_of(0)
        self._round, self._step = -1, 0

    def owns(self, request: Any) -> bool:
        """Whether the request is one of a round."""
        return bool(self._prefix) and request.request_id.startswith(self._prefix)

    def prepare(self, requests: Sequence[Any]) -> int:
        """Give the decoding `requests` of a round their drafts; return the draft length to ask for."""
        this, batch = self._names(requests[0])
        verify = ask = 0
        if len(requests) == batch:
            if this != self._round:
                self._round, self._step, self._plan = this, -1, self._plan_of(batch)
            self._step += 1
            if self._step < len(self._plan):
                verify, ask = self._plan[self._step]
            else:
                end(requests)
        for request in requests:
            at_hand = [0] * verify if self._makes_up else request.spec_token_ids
            request.spec_token_ids = list(at_hand[:verify])
        return ask

    def observe(self, request: Any, batch: int, context: int, drafts: int, asked: int, seconds: float) -> None:
        """A step in which `batch` requests of a round decoded, `request` one of them, with `drafts` over all."""
        this, whole = self._names(request)
        if this == self._round and batch == whole and _WARM_UP <= self._step < len(self._plan) and not drafts % batch:
            self.measurements.append(Measurement(this, batch, context, drafts // batch, asked, seconds))

    def _names(self, request: Any) -> tuple[int, int]:
        this, batch, *_ = request.request_id.removeprefix(self._prefix).split("-")
        return int(this), int(batch)


def _plan(most: int, asks: bool, makes_up: bool, large: bool) -> list[tuple[int, int]]:
    """(draft tokens to verify, draft length to ask for) of each step of a round."""
    verified = asked = _up_to(most, 1, most // 2)
    if large:  # the target's time jumps where a kernel begins another tile; a drafter's grows alike with each draft
        verified = _up_to(most, 1, 2, 3, most // 2, 3 * most // 4)
    if not makes_up:  # what is verified was asked for one step earlier
        asked = verified
    elif not asks:
        asked = []
    lengths = [step for k in verified for step in (_PLAIN, *[(0, k)] * (k in asked), (k, 0))]
    return [_PLAIN] * _WARM_UP + lengths * _REPEATS + [_PLAIN]


def _up_to(most: int, *lengths: int) -> list[int]:
    return sorted({k for k in (*lengths, most) if 0 < k <= most})


def end(requests: Sequence[Any]) -> None:
    """Let requests end with their next token."""
    for request in requests:
        request.max_tokens = request.num_output_tokens + 1


def profile_of(measurements: Sequence[Measurement]) -> Profile | None:
    """The profile; None where nothing was measured.

    Of plain steps the shortest counts: a busy machine makes steps longer, nothing makes them shorter. Of the others the
    median of how many times longer they took than the plain ones around them. The steps of a round count with its mean
    context: their own differ by a few tokens, and a slope through these would be noise.
    """
    target, draft = [], []
    for number in sorted({m.round for m in measurements}):
        steps = [m for m in measurements if m.round == number]
        batch, context = steps[0].batch, round(fmean(m.context for m in steps))
        seconds = _seconds(steps)
        plain = {verified: s for (verified, asked), s in seconds.items() if not asked}
        target += [(batch * (1 + verified), context, s, batch) for verified, s in plain.items()]
        if _PLAIN in seconds:
            plainly = seconds[_PLAIN]
            longer = [(batch, asked, max(0.0, s - plainly), context) for (_, asked), s in seconds.items() if asked]
            draft += [(batch, 0, 0.0, context), *longer] if longer else []
    return Profile(tuple(target), tuple(draft)) if target else None


def _seconds(steps: Sequence[Measurement]) -> dict[tuple[int, int], float]:
    """(verified, asked) -> seconds, of the steps of one round in the order in which they were."""
    plain = [i for i, m in enumerate(steps) if (m.verified, m.asked) == _PLAIN]
    shortest = min((steps[i].seconds for i in plain), default=0.0)
    times: dict[tuple[int, int], list[float]] = {}
    for i, m in enumerate(steps):
        around = [steps[j].seconds for j in (*[j for j in plain if j < i][-1:], *[j for j in plain if j > i][:1])]
        times.setdefault((m.verified, m.asked), []).append(m.seconds * (shortest / fmean(around) if around else 1.0))
    return {shape: shortest if shape == _PLAIN else median(found) for shape, found in times.items()}
