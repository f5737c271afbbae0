"""One step: the plan of the highest goodput within the allowance, probes, and what to ask the drafter for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparkllm.spec.acceptance import Estimates
from sparkllm.spec.allowance import Allowance
from sparkllm.spec.arrays import Floats, Ints
from sparkllm.spec.goodput import Gains, Plan
from sparkllm.spec.step_time import Step, StepTime

__all__ = ["DraftsAtHand", "Planner"]

_LOOK = 16  # drafts of a probe that takes drafting: they carry the next plan past a step in the time curve
_CERTAINLY = 0.85  # of what may be risked: predicted times change until drafts are there, and would else be in vain


@dataclass(frozen=True)
class DraftsAtHand:
    """What the drafter has left for this step.

    Attributes:
        caps: draft tokens of each request, (n,).
        exists: probability that they exist, (n,); less than 1 where nobody has looked.
        asked: draft length that the drafter was asked for.
    """

    caps: Ints
    exists: Floats
    asked: int


class Planner:
    """Plans a step within the allowance.

    The drafts at hand are paid for, so this step verifies the best of them; what the drafter is asked for at its end is
    the best for a next step like this one, the drafter's time included.
    """

    def __init__(self, most: int, step_time: StepTime, allowance: Allowance) -> None:
        self._most, self._step_time, self._allowance = most, step_time, allowance

    def plan(self, step: Step, known: Estimates, drafts: DraftsAtHand) -> tuple[Ints, int]:
        """Draft tokens to verify of each request, (n,), and the next draft length."""
        draft = self._step_time.draft(step, self._most)
        alone = self._step_time.verify(replace(step, prefill_tokens=0), self._most * step.batch)
        free, plain = bool(draft[-1] <= draft[0]), float(alone[0] + draft[0])
        limit, token = self._allowance.limit(plain), plain / step.batch
        price, next_length = None, self._most  # free drafts show which requests have a match
        if not free or step.prefill_tokens:
            ahead = Gains(known.acceptance, np.full_like(drafts.caps, self._most), known.match_rate, known.sure)
        if step.prefill_tokens:
            # The step is long for other reasons: a token is worth what it saves in a step of decodes alone.
            price = ahead.best_length(alone, draft)[1]
        gains = Gains(known.acceptance, drafts.caps, drafts.exists, known.sure)
        verify = self._step_time.verify(step, len(gains)) if step.prefill_tokens else alone
        asked = float(draft[drafts.asked])
        plan = gains.plan(verify, asked, limit, price, token)
        left = limit - max(0.0, plan.risk)
        probes = self._probes(plan, verify, drafts.caps, known.trials, left, token, asked - float(draft[0]))
        if not free:
            # What this step spends beyond what it should earn is not there for the next one.
            spent = float(verify[plan.drafts + len(probes)] - verify[0]) - (plan.tokens - step.batch) * token
            next_length = self._next_length(ahead, alone, draft, limit - max(0.0, spent), token, known.trials)
        plan.lengths[probes] += 1
        return plan.lengths, next_length

    def _probes(
        self, plan: Plan, verify: Floats, caps: Ints, trials: Floats, left: float, token: float, asked: float
    ) -> Ints:
        """Positions of the requests that verify a draft although it is not expected to pay."""
        idle = np.flatnonzero((plan.lengths == 0) & (caps > 0))
        further = verify[plan.drafts :] - verify[plan.drafts]
        if not (asked or self._allowance.may_probe):
            return idle[:0]
        probes = idle[self._allowance.probes(trials[idle], further, left, token, asked)]
        self._allowance.probed(float(further[len(probes)]) + (0.0 if plan.drafts else asked))
        return probes

    def _next_length(
        self, gains: Gains, verify: Floats, draft: Floats, left: float, token: float, trials: Floats
    ) -> int:
        """What the drafter is asked for at the end of this step, to be verified in one like it."""
        length, _ = gains.best_length(verify, draft, _CERTAINLY * left, token)
        if length or not self._allowance.may_probe or not self._allowance.thin(trials).any():
            return length
        # In a small batch one draft each is affordable before long: there, single drafts tell enough.
        look = verify[1 : 1 + (_LOOK if len(trials) > _LOOK else 1)] - verify[0]
        worth = look <= token * np.arange(1, len(look) + 1)  # what so many drafts could gain
        number = int(np.flatnonzero(worth).max(initial=0))
        return int(float(draft[1] - draft[0] + look[number]) <= left)
