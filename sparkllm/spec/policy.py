"""How many draft tokens each request verifies in the next step, and how many the drafter is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from sparkllm.spec.acceptance import Acceptance
from sparkllm.spec.alike_steps import AlikeSteps
from sparkllm.spec.allowance import Allowance
from sparkllm.spec.arrays import Ints
from sparkllm.spec.planner import DraftsAtHand, Planner
from sparkllm.spec.step_time import Step, StepTime
from sparkllm.spec.totals import Totals

__all__ = ["Decode", "DraftPolicy", "Drafter", "PlannedStep"]

Decode = tuple[str, int, int]  # request id, tokens of its context, draft tokens that exist for it (-1: not known)
Drafter = Literal["ngram", "suffix", "model"]


@dataclass(frozen=True)
class PlannedStep(Step):
    """A step as it was chosen; `dataclasses.replace` its counts where the scheduler did otherwise.

    Attributes:
        predicted: predicted seconds.
        plain: the same without drafts.
        token: seconds that a token takes without drafts, and without prefill.
        blind: requests whose drafts were asked for without knowing whether they exist.
    """

    predicted: float = 0.0
    plain: float = 0.0
    token: float = 0.0
    blind: frozenset[str] = field(default=frozenset(), repr=False)


class DraftPolicy:
    """Chooses the draft lengths of the highest goodput, step by step.

    `choose` before a step, `observe` after it with the `step` that `choose` left behind; several may be under way.

    Args:
        most: longest draft, K.
        step_time: predicts the time of steps.
        drafter: "model" drafts for every request; "ngram" and "suffix" where they find a match.
        acceptance, allowance: estimates and account, with their own settings.
    """

    def __init__(
        self,
        most: int,
        step_time: StepTime,
        drafter: Drafter = "model",
        acceptance: Acceptance | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        if most < 0:
            raise ValueError(f"expected a longest draft of 0 or more; found {most}; give the engine's draft length")
        self.most, self.next_length = most, most
        self.step_time, self.matching = step_time, drafter != "model"
        self.acceptance, self.allowance = acceptance or Acceptance(), allowance or Allowance()
        self._planner = Planner(most, step_time, self.allowance)
        self.step = PlannedStep(0)
        self.totals = Totals()
        # What is seen is learnt from before the next choice, of all steps since the last one at once.
        self._alike = AlikeSteps(step_time)
        self._observed: list[Sequence[tuple[str, int, int]]] = []
        self._rested = 0

    def choose(self, decodes: Sequence[Decode], prefill_tokens: int = 0) -> dict[str, int]:
        """Draft tokens to verify of each request that decodes in the next step; also sets `next_length` and `step`."""
        if not decodes:
            self.step = self.predicted(Step(0, prefill_tokens=prefill_tokens))
            return {}
        self._learn()
        ids = [request_id for request_id, _, _ in decodes]
        offered = np.array([offers for _, _, offers in decodes], dtype=np.int64)
        caps = np.minimum(np.where(offered < 0, self.next_length, offered), self.most)
        self._learn_matches(ids, offered)
        step = Step(len(ids), 0, sum(context for _, context, _ in decodes), prefill_tokens)
        known = self.acceptance.estimates(ids)
        matches = known.match_rate if self.matching else np.ones(len(ids))
        drafts = DraftsAtHand(caps, np.where(offered < 0, matches, 1.0), self.next_length)
        lengths, self.next_length = self._planner.plan(step, known._replace(match_rate=matches), drafts)
        step = replace(step, draft_tokens=int(lengths.sum()), draft_length=self.next_length)
        blind = np.flatnonzero((offered < 0) & (lengths > 0)) if self.matching else ()
        self.step = self.predicted(step, frozenset(ids[i] for i in blind))
        return dict(zip(ids, lengths.tolist(), strict=True))

    def predicted(self, step: Step, blind: frozenset[str] = frozenset()) -> PlannedStep:
        """A step that was chosen, or that the scheduler made of it, with its predicted times."""
        sizes = (step.batch, step.draft_tokens, step.context_tokens, step.prefill_tokens, step.draft_length)
        alone = self.step_time.seconds(Step(step.batch, 0, step.context_tokens))
        plain = self.step_time.seconds(Step(*sizes[:1], 0, *sizes[2:4])) if step.prefill_tokens else alone
        seconds = self.step_time.seconds(step) if step.draft_tokens or step.draft_length else plain
        return PlannedStep(*sizes, seconds, plain, alone / max(1, step.batch), blind)

    def observe(
        self,
        verified: Sequence[tuple[str, int, int]],
        seconds: float,
        step: PlannedStep | None = None,
    ) -> None:
        """A step has ended.

        Args:
            verified: (request id, draft tokens verified, draft tokens accepted) of each request that decoded.
            seconds: how long it took.
            step: the `step` that `choose` left behind; the latest one where only one is under way.
        """
        step = step or self.step
        if verified:
            # By predicted times: a busy machine is not the drafts' fault.
            accepted = sum(a for _, _, a in verified)
            self.allowance.settle(step.plain, step.predicted, accepted, step.token, step.batch)
            self._observed.append(verified)
        if blind := [(i, drafted > 0) for i, drafted, _ in verified if i in step.blind]:
            self.acceptance.offer([i for i, _ in blind], np.array([matched for _, matched in blind]))
        self._alike.add(step, seconds, step.predicted)
        self.totals.add(verified, seconds, step.predicted)

    def rested(self, decodes: int) -> None:
        """A step without drafts for which nothing was chosen; `decodes` requests had a token in it.

        What is known fades, and something is earned, as in any other: else what once did not pay would stay so.
        """
        self.totals.rested(decodes)
        self._rested += bool(decodes)

    def forget(self, request_id: str) -> None:
        """The request has ended."""
        self.acceptance.forget(request_id)

    def summary(self) -> dict[str, float]:
        """What has happened since the start, and the fleet's estimates now; see `Totals.summary`."""
        now = {"estimated_acceptance": self.acceptance.mean, "allowance_seconds": self.allowance.balance or 0.0}
        return self.totals.summary() | now | ({"match_rate": self.acceptance.match_rate} if self.matching else {})

    def _learn(self) -> None:
        self._alike.learn()
        self.acceptance.observe(self._observed)
        self._observed = []
        if self._rested:
            self.acceptance.fade(self._rested)
            plain = self.step.plain
            self.allowance.earn(self._rested * plain, plain, self.step.batch)
            self._rested = 0

    def _learn_matches(self, ids: Sequence[str], offered: Ints) -> None:
        known = offered >= 0
        if self.matching and self.next_length and known.any():
            self.acceptance.offer([ids[i] for i in np.flatnonzero(known)], offered[known] > 0)
