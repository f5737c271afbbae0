"""Speculative decoding whose draft length follows goodput (SmartSpec, arXiv 2406.14066): how many draft tokens each
request verifies in each step, so that the batch yields the most tokens a second.

    step_time = StepTime(Profile(target=[(tokens, context, seconds), ...], draft=[(batch, k, seconds), ...]))
    policy = DraftPolicy(most=8, step_time=step_time, drafter="model")        # or "ngram", "suffix"

    lengths = policy.choose([(request_id, context_tokens, offered), ...], prefill_tokens)     # before a step
    step = policy.step                  # what was chosen, with its predicted time; keep it until the step has ended
    k = policy.next_length              # what the drafter is asked for at the end of this step, 0..most
    policy.observe([(request_id, drafted, accepted), ...], seconds, step)                     # after it
    policy.forget(request_id)           # when a request has ended
    policy.summary()                    # means since the start

`offered` is the number of draft tokens that exist for the request, -1 where that is not known yet (asynchronous
scheduling); `drafted` are those that were verified, without invalid ones. All times are in seconds.

    policy      the interface above              acceptance   how likely the next draft token is accepted
    planner     one step: plan, probes, next k   profile      curves through what was measured at engine start
    goodput     the exact plan of a step         step_time    predicted time of a step, corrected by
    allowance   what speculation may lose        correction   factors of its terms, learnt from measured steps, and by
    hold        how long a choice stands         residuals    factors by number of tokens, from
    rest        when there is none               alike_steps  the median of steps of one shape

For study: `trace` writes a line for each step, `workload` and `recorded` are jobs to decode, `choosers` what to compare
with, and `python -m sparkllm.spec.replay TRACE` prints what every fixed draft length would have taken.
"""

from sparkllm.spec.policy import DraftPolicy, PlannedStep
from sparkllm.spec.profile import Profile
from sparkllm.spec.step_time import Step, StepTime

__all__ = ["DraftPolicy", "PlannedStep", "Profile", "Step", "StepTime"]
