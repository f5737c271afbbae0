"""Simulated engines: requests with a known acceptance, decoded step by step under a choice of draft lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sparkllm.spec.arrays import Floats, Ints
from sparkllm.spec.goodput import expected_tokens
from sparkllm.spec.policy import Decode, Drafter
from sparkllm.spec.step_time import Step, StepTime

__all__ = ["Chooser", "Outcome", "Queue", "Request", "Workload", "run"]


class Chooser(Protocol):
    """What decides draft lengths: `DraftPolicy`, and the others of `replay`."""

    next_length: int
    step: Any

    def choose(self, decodes: Sequence[Decode], prefill_tokens: int = 0) -> dict[str, int]: ...
    def observe(self, verified: Sequence[tuple[str, int, int]], seconds: float, step: Any = None) -> None: ...
    def forget(self, request_id: str) -> None: ...


@dataclass
class Request:
    """A request while it decodes: its context, the tokens that it still needs, its true acceptance and match rate."""

    name: str
    context: int
    left: int
    acceptance: float
    match: float = 1.0


class Workload(Protocol):
    """What is there to decode.

    Attributes:
        requests: those that decode or will, by name, as they are now.
    """

    requests: dict[str, Request]

    def admit(self) -> tuple[list[Request], int]:
        """The requests of the next step, none at the end, and the prompt tokens computed beside them."""

    def emit(self, request: Request, tokens: int) -> bool:
        """The request got `tokens` tokens; whether it has ended."""


class Queue:
    """Requests served in order, `most` at a time: at the end the batch drains to a single one.

    A request's prompt is computed in the step in which it is admitted; it decodes from the next.
    """

    def __init__(self, requests: Sequence[Request], most: int) -> None:
        self.requests = {r.name: r for r in requests}
        self._waiting, self._running, self._most = [*requests][::-1], list[Request](), most

    def admit(self) -> tuple[list[Request], int]:
        """The running requests, and the prompt tokens of those that begin."""
        decoding = list(self._running)
        new = [self._waiting.pop() for _ in range(min(len(self._waiting), self._most - len(decoding)))]
        self._running += new
        return (decoding, sum(r.context for r in new)) if decoding else (new, 0)

    def emit(self, request: Request, tokens: int) -> bool:
        """The request got `tokens` tokens; whether it has ended."""
        request.context += tokens
        request.left -= tokens
        if request.left <= 0:
            self._running.remove(request)
        return request.left <= 0


@dataclass(frozen=True)
class Outcome:
    """What a run took.

    Attributes:
        steps, tokens, seconds: sums.
        expected: tokens to expect of the lengths chosen: without luck, and with those behind a request's end.
        mean_length: mean draft length of a request and step.
    """

    steps: int
    tokens: int
    expected: float
    seconds: float
    mean_length: float

    @property
    def goodput(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def run(work: Workload, chooser: Chooser, truth: StepTime, drafter: Drafter, seed: int, noise: float = 0.0) -> Outcome:
    """Decode all of `work`; a step takes the time of `truth`, times exp(normal(0, `noise`))."""
    rng = np.random.default_rng(seed)
    steps = tokens = drafted = decodes = 0
    total = expected = 0.0
    while (admitted := work.admit())[0]:
        requests, prefill = admitted
        exists = np.array([drafter == "model" or rng.random() < r.match for r in requests])
        offered = np.where(exists, chooser.next_length, 0)
        lengths = chooser.choose([(r.name, r.context, int(k)) for r, k in zip(requests, offered, strict=True)], prefill)
        k = np.minimum([lengths[r.name] for r in requests], offered)
        accepted = np.minimum(k, _run_lengths(rng, requests))
        context = sum(r.context for r in requests)
        step = Step(len(requests), int(k.sum()), context, prefill, chooser.next_length)
        seconds = truth.seconds(step) * float(np.exp(rng.normal(0.0, noise)))
        verified = [(r.name, int(d), int(a)) for r, d, a in zip(requests, k, accepted, strict=True)]
        chooser.observe(verified, seconds, chooser.step)
        for request, (_, _, got) in zip(requests, verified, strict=True):
            tokens += min(request.left, got + 1)
            if work.emit(request, got + 1):
                chooser.forget(request.name)
        expected += float(expected_tokens(np.array([r.acceptance for r in requests]), k).sum())
        steps, total, drafted, decodes = steps + 1, total + seconds, drafted + int(k.sum()), decodes + len(requests)
    return Outcome(steps, tokens, expected, total, drafted / max(1, decodes))


def _run_lengths(rng: np.random.Generator, requests: Sequence[Request]) -> Ints:
    """Drafts accepted in a row, were there endlessly many, (n,)."""
    acceptance: Floats = np.array([r.acceptance for r in requests])
    return (rng.geometric(np.maximum(1.0 - acceptance, 1e-6)) - 1).astype(np.int64)
