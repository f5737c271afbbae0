"""Drives a vLLM scheduler by a `DraftPolicy`: reads its requests before a step, trims their drafts, and learns from
what the step gave. Knows vLLM's objects by the attributes it reads, and imports none of it.

`before` a step is scheduled, `scheduled` when it is, `after` when its tokens are there, `idle` when they are booked.
Several steps may be under way (asynchronous scheduling, pipeline parallelism): a step is known by its SchedulerOutput,
and lasts from when it was scheduled, or from the end of the one before it, whichever is later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from sparkllm.spec.driver_options import DriverOptions
from sparkllm.spec.hold import Hold
from sparkllm.spec.live_length import LiveLength
from sparkllm.spec.policy import DraftPolicy, PlannedStep
from sparkllm.spec.profile import Profile
from sparkllm.spec.profiling import Profiling, end, profile_of
from sparkllm.spec.rest import Rest
from sparkllm.spec.step_log import StepLog
from sparkllm.spec.step_time import StepTime
from sparkllm.spec.totals import Totals
from sparkllm.spec.vllm_state import PrefillForecast, harmless, left, verified

__all__ = ["Driver"]


@dataclass(frozen=True)
class _UnderWay:
    """A scheduled step; the output is kept so that no other one gets its id."""

    output: Any
    began: float
    step: PlannedStep
    decodes: Sequence[str]
    profiled: Any | None  # a request of the profile's round, where the step belongs to one
    spent: float  # seconds that the choice took
    held: bool  # the choice is an earlier step's


class Driver:
    """One engine's draft lengths.

    Args:
        scheduler: vLLM's.
        options: what the engine was started with.
        placeholders: whether requests hold placeholders instead of drafts: asynchronous scheduling.
    """

    def __init__(self, scheduler: Any, options: DriverOptions, placeholders: bool) -> None:
        self._scheduler, self._options, self._placeholders = scheduler, options, placeholders
        self._most = int(scheduler.num_spec_tokens)
        self._matching = options.drafter != "model"
        self._profiling = Profiling(options.profile_prefix, self._most, not self._matching, not placeholders)
        self._profiled: Any | None = None
        self._forecast, self._rest, self._log = PrefillForecast(), Rest(), StepLog(options)
        self._hold, self._held, self._prefill = Hold(), False, 0
        self._resting, self._spent = False, 0.0
        self._under_way: dict[int, _UnderWay] = {}
        self._context: dict[str, int] = {}
        self._last_end = 0.0
        self.live = LiveLength(self._most)
        self.policy: DraftPolicy | None = None
        if options.profile:
            self._start(options.profile)

    def before(self) -> None:
        """The next step is about to be scheduled: trim the drafts of the requests that decode."""
        began, running = perf_counter(), self._scheduler.running
        self._resting = self.policy is not None and self._rest.now(not self._anything(running), len(running))
        if self._resting:
            for request in running:
                if request.spec_token_ids:
                    request.spec_token_ids = []
            self._ask(self._most if self._matching else 0)
            self._hold.end()
            return
        requests = [r for r in running if left(r) == 1]
        self._context = {r.request_id: r.num_computed_tokens + 1 for r in requests}
        self._prefill = self._forecast.tokens(self._scheduler, len(requests))
        self._held = self._holds(requests)
        if self._held:
            self._spent = perf_counter() - began
            return
        self._profiled = None
        if self.policy is None and requests and not self._begin(requests):
            return
        if self.policy is not None:
            self._choose(self.policy, requests)
        self._spent = perf_counter() - began

    def scheduled(self, output: Any) -> None:
        """The step is scheduled; it may hold other requests, and fewer drafts, than were chosen."""
        began = perf_counter()
        if self.policy is not None:
            for request_id in output.finished_req_ids:
                self.policy.forget(request_id)
        if self._resting or not output.total_num_scheduled_tokens:
            return
        self._forecast.learn(output)
        decodes = [i for i in output.num_scheduled_tokens if i in self._context]
        step = self._as_scheduled(output, decodes)
        now = perf_counter()
        spent = self._spent + now - began
        self._under_way[id(output)] = _UnderWay(output, now, step, decodes, self._profiled, spent, self._held)

    def after(self, output: Any, model_output: Any) -> None:
        """The step's tokens are there."""
        now = perf_counter()
        ended = self._under_way.pop(id(output), None)
        began, self._last_end = self._last_end, now
        if ended is not None:
            self._learn(ended, model_output, now - max(ended.began, began))
        elif self.policy is not None:
            self.policy.rested(sum(tokens == 1 for tokens in output.num_scheduled_tokens.values()))

    def idle(self) -> None:
        """A step's tokens are booked; the sums go out now and then, and at once where nothing is left to do."""
        if self.policy is not None:
            self._log.flush(self.policy.totals, at_once=not self._scheduler.running)

    def fell_back(self) -> None:
        """The driver is given up."""
        self._log.fell_back(self.policy.totals if self.policy else Totals())

    def _start(self, profile: Profile | None) -> None:
        if profile is None:
            raise LookupError("expected a profile of the engine, measured before its first request; found none")
        self.policy = DraftPolicy(self._most, StepTime(profile), self._options.drafter)
        self._log.start(self._most, profile)

    def _begin(self, requests: Sequence[Any]) -> bool:
        """Whether the policy has begun: with the first request that is not one of the profile's rounds."""
        if all(map(self._profiling.owns, requests)):
            self._profiled = requests[0]
            self._ask(self._profiling.prepare(requests))
            return False
        end([r for r in requests if self._profiling.owns(r)])
        self._start(profile_of(self._profiling.measurements))
        return True

    def _anything(self, running: Sequence[Any]) -> bool:
        # N-grams are looked for in any case; a draft model proposes only what it is asked for.
        return any(r.spec_token_ids for r in running) if self._matching else bool(running)

    def _learn(self, ended: _UnderWay, model_output: Any, seconds: float) -> None:
        began, step = perf_counter(), ended.step
        if ended.profiled is not None:
            if not step.prefill_tokens:
                sizes = (step.batch, step.context_tokens, step.draft_tokens, step.draft_length)
                self._profiling.observe(ended.profiled, *sizes, seconds)
        elif self.policy is not None:
            outcome = list(verified(ended.output, model_output, ended.decodes))
            self.policy.observe(outcome, seconds, step)
            self._log.step(self.policy, step, outcome, seconds)
            if self._matching or step.draft_tokens or not step.draft_length:
                saved = seconds * sum(accepted for _, _, accepted in outcome) / max(1, step.batch)
                gained = max(0.0, saved - (step.predicted - step.plain))
                spent = ended.spent + perf_counter() - began
                if ended.held:
                    self._rest.held(seconds, gained)
                else:
                    self._rest.chose(spent, seconds, gained)
                    if not self._matching:
                        self._hold.chose(spent, seconds)

    def _choose(self, policy: DraftPolicy, requests: Sequence[Any]) -> None:
        decodes = [(r.request_id, self._context[r.request_id], self._offered(r)) for r in requests]
        chosen = policy.choose(decodes, self._prefill)
        for request in requests:
            _trim(request, chosen[request.request_id])
        there = {i: offered for i, _, offered in decodes}
        self._hold.keep(chosen, there, policy.next_length, prefill=self._prefill > 0)
        self._ask(policy.next_length)

    def _holds(self, requests: Sequence[Any]) -> bool:
        """Whether the last choice stands for this step: where it does, it is carried out."""
        if self.policy is None:
            return False
        lengths = self._hold.take([*self._context], prefill=self._prefill > 0)
        if lengths is None:
            return False
        for request, length in zip(requests, lengths, strict=True):
            _trim(request, harmless(request, length))
        return True

    def _offered(self, request: Any) -> int:
        there = len(request.spec_token_ids)
        offered = harmless(request, there)
        # Whether n-grams were found, only the worker knows under asynchronous scheduling.
        return -1 if self._placeholders and self._matching and 0 < there == offered else offered

    def _ask(self, length: int) -> None:
        # vLLM's suffix drafter takes no other length than its own.
        self.live.length = self._most if self._options.drafter == "suffix" else length

    def _as_scheduled(self, output: Any, decodes: Sequence[str]) -> PlannedStep:
        policy = self.policy if self._profiled is None else None
        planned = policy.step if policy else PlannedStep(0)
        drafts = sum(len(output.scheduled_spec_decode_tokens.get(i, ())) for i in decodes)
        actual = replace(
            planned,
            batch=len(decodes),
            draft_tokens=drafts,
            context_tokens=sum(self._context[i] for i in decodes),
            prefill_tokens=output.total_num_scheduled_tokens - len(decodes) - drafts,
            draft_length=output.num_spec_tokens_to_schedule if decodes else 0,
        )
        return actual if policy is None or actual == planned else policy.predicted(actual, actual.blind)


def _trim(request: Any, length: int) -> None:
    if len(request.spec_token_ids) > length:
        # A new list: under asynchronous scheduling all requests hold the same one.
        request.spec_token_ids = request.spec_token_ids[:length]
