"""The predicted time of an engine step (SmartSpec, arXiv 2406.14066):

    seconds = (curve(batched tokens) + context cost) * residual(batched tokens) + draft(requests, draft length, context)

The curve and the draft's table come from a profile; five factors on their terms follow the measured steps, and
residuals what no sum of terms can say. The context's factor is believed first: what a token of context costs depends on
who else reads it. A prompt that a batch shares stays near the processor; the profile's requests share none.

Prefill tokens are batched tokens: with them a decode token stands higher on the curve. A step with prefill teaches only
the prefill's factor, as attention inside a prompt and its chunks follow other laws than decodes; it has no residual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkllm.spec.arrays import Floats
from sparkllm.spec.context_cost import ContextCost
from sparkllm.spec.correction import Correction
from sparkllm.spec.draft_time import DraftTime
from sparkllm.spec.profile import Curve, Profile
from sparkllm.spec.residuals import Residuals

__all__ = ["Step", "StepTime"]

_BASE, _TOKENS, _CONTEXT, _DRAFT, _PREFILL = range(5)


@dataclass(frozen=True)
class Step:
    """What an engine step does.

    Attributes:
        batch: requests that decode.
        draft_tokens: draft tokens to verify, over the batch.
        context_tokens: tokens in the KV cache of the requests that decode, over the batch.
        prefill_tokens: prompt tokens computed in the same step.
        draft_length: draft length that the drafter is asked for at the end of the step.
    """

    batch: int
    draft_tokens: int = 0
    context_tokens: int = 0
    prefill_tokens: int = 0
    draft_length: int = 0


class StepTime:
    """Predicts the time of steps and learns from measured ones. All times are in seconds.

    Args:
        profile: what was measured at engine start.
        correction: how measured steps change it.
    """

    def __init__(self, profile: Profile, correction: Correction | None = None) -> None:
        self._context = ContextCost.of(profile.target)
        points = (
            (n, s - self._of_context(n, context, *requests)) for n, context, s, *requests in _of_most_requests(profile)
        )
        self._curve = Curve(points, proportional=True)
        self._drafts = DraftTime(profile.draft)
        self._correction, self._residuals = correction or Correction(5, doubtful=[_CONTEXT]), Residuals()

    @property
    def factors(self) -> Floats:
        """Corrections of base, batched tokens, context, draft and prefill, (5,); 1 is the profile."""
        return self._correction.factors

    def seconds(self, step: Step) -> float:
        """Predicted time of a step."""
        target, draft = self._corrected(step)
        return target * (1.0 if step.prefill_tokens else self._residuals.at(step.batch + step.draft_tokens)) + draft

    def verify(self, step: Step, most: int) -> Floats:
        """Predicted time of the target's part of `step` with 0, 1, .. `most` draft tokens, (most + 1,)."""
        parts = np.array(self._parts(step)) * self.factors
        prefill, drafts = float(step.prefill_tokens), np.arange(most + 1)
        tokens = self._curve(prefill + step.batch + drafts) - self._curve.at(prefill)
        context = self._context.seconds(step.context_tokens, drafts, step.batch)
        target = parts[_BASE] + parts[_PREFILL] + self.factors[_TOKENS] * tokens + self.factors[_CONTEXT] * context
        return target if step.prefill_tokens else target * self._residuals.of(step.batch + drafts)

    def draft(self, step: Step, most: int) -> Floats:
        """Predicted time of the drafter in `step` for draft lengths 0, 1, .. `most`, (most + 1,)."""
        return self.factors[_DRAFT] * self._drafts.seconds(step.batch, step.context_tokens, most)

    def observe(self, step: Step, seconds: float, steps: int = 1) -> None:
        """A measured step, or the median of so many alike."""
        self._correction.observe(np.array(self._parts(step)), seconds, only=_PREFILL if step.prefill_tokens else None)
        if not step.prefill_tokens:
            target, draft = self._corrected(step)
            self._residuals.observe(step.batch + step.draft_tokens, target, seconds - draft, steps)

    def _corrected(self, step: Step) -> tuple[float, float]:
        parts = [part * factor for part, factor in zip(self._parts(step), self.factors.tolist(), strict=True)]
        return sum(parts) - parts[_DRAFT], parts[_DRAFT]

    def _parts(self, step: Step) -> tuple[float, float, float, float, float]:
        prefill = float(step.prefill_tokens)
        base, before = self._curve.first, self._curve.at(prefill)
        tokens = self._curve.at(prefill + step.batch + step.draft_tokens) - before
        context = float(self._context.seconds(step.context_tokens, step.draft_tokens, step.batch))
        draft = float(self._drafts.seconds(step.batch, step.context_tokens, step.draft_length)[-1])
        return base, tokens, context, draft, before - base

    def _of_context(self, tokens: int, context: int, requests: int = 0) -> float:
        requests = requests or tokens
        return float(self._context.seconds(context, tokens - requests, requests))


def _of_most_requests(profile: Profile) -> list[tuple[int, int, float] | tuple[int, int, float, int]]:
    """The target's points where more tokens are of as many requests or more.

    A request has a cost of its own, in sampling and in the scheduler. So 72 tokens of eight requests may take less time
    than 64 tokens of as many; on one curve they would make a few drafts in a large batch look free.
    """
    requests = [float(point[3] if len(point) > 3 else point[0]) for point in profile.target]
    wider = {
        r: min(n for (n, *_), other in zip(profile.target, requests, strict=True) if other > r)
        for r in set(requests)
        if r < max(requests)
    }
    return [p for p, r in zip(profile.target, requests, strict=True) if p[0] < wider.get(r, np.inf)]
