"""What the policy is compared with: fixed draft lengths, a table by batch size, the truth instead of estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sparkllm.spec.acceptance import Acceptance, Estimates
from sparkllm.spec.goodput import expected_tokens
from sparkllm.spec.policy import Decode
from sparkllm.spec.step_time import Step, StepTime
from sparkllm.spec.workload import Request

__all__ = ["ByBatch", "Fixed", "Known"]


class Fixed:
    """The same draft length always; 0 is no speculation."""

    step = None

    def __init__(self, length: int) -> None:
        self.next_length = length

    def choose(self, decodes: Sequence[Decode], prefill_tokens: int = 0) -> dict[str, int]:
        """All drafts that exist."""
        return {request_id: min(max(0, offered), self.next_length) for request_id, _, offered in decodes}

    def observe(self, verified: Sequence[tuple[str, int, int]], seconds: float, step: object = None) -> None:
        """Nothing is learnt."""

    def forget(self, request_id: str) -> None:
        """Nothing is known."""


class ByBatch(Fixed):
    """A table from batch size to draft length, made for one acceptance: what vLLM offers (its pull request 32374)."""

    def __init__(self, most: int, step_time: StepTime, acceptance: float) -> None:
        super().__init__(most)
        self._most, self._step_time, self._acceptance = most, step_time, acceptance

    def choose(self, decodes: Sequence[Decode], prefill_tokens: int = 0) -> dict[str, int]:
        """The length of this batch size's row."""
        self.next_length = self.row(len(decodes))
        return super().choose(decodes)

    def row(self, batch: int) -> int:
        """The length for a batch of this size."""
        steps = [Step(batch, batch * k, draft_length=k) for k in range(self._most + 1)]
        tokens = [float(expected_tokens(self._acceptance, step.draft_length)) for step in steps]
        return int(np.argmax([t / self._step_time.seconds(s) for t, s in zip(tokens, steps, strict=True)]))


class Known(Acceptance):
    """The truth in the place of estimates: with it `DraftPolicy` is the oracle of a study."""

    def __init__(self, requests: Mapping[str, Request]) -> None:
        super().__init__()
        self._requests = requests

    def estimates(self, ids: Sequence[str]) -> Estimates:
        """True acceptance and match rate of each request; nothing needs a probe."""
        known = [self._requests[i] for i in ids]
        acceptance, match = np.array([[r.acceptance, r.match] for r in known], dtype=float).T
        return Estimates(acceptance, match, np.full(len(known), np.inf), acceptance)
