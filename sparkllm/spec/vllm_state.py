"""What is read off vLLM's objects, of versions 0.26 to 0.32; none of them is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

__all__ = ["PrefillForecast", "harmless", "left", "verified"]

_LEARN = 0.1


def left(request: Any) -> int:
    """Tokens of a running request that are known, or under way, and not yet computed: 1 where it decodes.

    More of a prompt, or of the answer of a preempted request, in prefill; 0 or less where nothing can be scheduled.
    """
    return int(request.num_tokens + getattr(request, "num_output_placeholders", 0) - request.num_computed_tokens)


def harmless(request: Any, offered: int) -> int:
    """How many of its drafts may be verified so that its answer is the one without drafts.

    None of a request with a seed: an accepted draft takes other random numbers than a sampled token. Before an answer
    has its `min_tokens`, too few to reach them: vLLM (0.32) forbids the token behind the last draft to end the answer
    if the first of the step may not.
    """
    sampling = request.sampling_params
    if sampling is None:
        return offered
    if sampling.seed is not None and sampling.temperature > 0:
        return 0
    if request.num_output_tokens >= sampling.min_tokens:
        return offered
    # Under asynchronous scheduling some tokens, at most as many as there are placeholders, are not known yet.
    tokens = request.num_output_tokens + getattr(request, "num_output_placeholders", 0)
    return max(0, min(offered, sampling.min_tokens - tokens - 1))


def verified(output: Any, model_output: Any, decodes: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """(request id, drafts verified, drafts accepted) of each of `decodes` that got a token."""
    drafts, invalid = output.scheduled_spec_decode_tokens, output.num_invalid_spec_tokens or {}
    for request_id in decodes:
        index = model_output.req_id_to_index.get(request_id)
        tokens = model_output.sampled_token_ids[index] if index is not None and model_output.sampled_token_ids else ()
        if len(tokens):
            # Asynchronous scheduling pads what the grammar struck out; it was no trial.
            drafted = len(drafts.get(request_id, ())) - invalid.get(request_id, 0)
            yield request_id, drafted, min(len(tokens) - 1, drafted)


class PrefillForecast:
    """Prompt tokens of the next step, as far as they can be known before it is scheduled."""

    def __init__(self) -> None:
        self._fresh = 1.0  # share of a new prompt that was computed, not found in the prefix cache

    def tokens(self, scheduler: Any, decodes: int) -> int:
        """Of the next step of vLLM's `scheduler`, `decodes` of whose requests decode."""
        budget = max(0, scheduler.max_num_scheduled_tokens - decodes)
        tokens = float(sum(n for r in scheduler.running if (n := left(r)) > 1))
        free = max(0, scheduler.max_num_running_reqs - len(scheduler.running))
        for request in islice(scheduler.waiting, free):
            if tokens >= budget:
                break
            tokens += self._fresh * request.num_tokens
        return round(min(tokens, budget))

    def learn(self, output: Any) -> None:
        """A step was scheduled."""
        for new in output.scheduled_new_reqs:
            if new.prompt_token_ids:
                fresh = 1 - new.num_computed_tokens / len(new.prompt_token_ids)
                self._fresh += _LEARN * (fresh - self._fresh)
