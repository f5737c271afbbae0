"""Requests of the engine's own, by which its scheduler measures how long steps take before it serves any other."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

__all__ = ["PREFIX", "run_rounds"]

PREFIX = "sparkllm-profile-"
_COLD_SECONDS = 30.0  # the first step of all; whoever came first would wait for it
_FIRST_SECONDS = 5.0  # the first round, where single steps take long: without it there is no profile
_SECONDS = 6.0  # all of them: a second or two, but for engines whose start takes long, too
_STEPS = 96  # a round ends by itself sooner, unless many drafts are right
# Requests, prompt tokens of each, and whether each has a prompt of its own. What comes first tells most, as the time
# may end: behind the longest batch measured, time grows in proportion anyway, but nothing else tells what a longer
# context costs. There each request reads a KV cache of its own, as answers that grow do: one that all read stays near
# the processor (eight requests of 257 tokens on a CPU: 27 ms a step against 29; with two drafts 35 against 40).
_ROUNDS = ((1, 16, False), (8, 16, False), (8, 256, True), (64, 16, False))

Ask = Callable[[str, list[int], int], Awaitable[None]]


async def run_rounds(ask: Ask, max_num_seqs: int, max_model_len: int, vocabulary: int) -> float:
    """Run the rounds until they end or the time has; return the seconds, those of the first, cold step left out.

    Args:
        ask: has a request of that name answered, with that prompt and at most so many tokens, whatever they are.
        max_num_seqs: most requests of a step.
        max_model_len: longest prompt and answer, in tokens; where it leaves no room, nothing is measured.
        vocabulary: number of token ids.
    """
    room, began = max_model_len - _STEPS, time.monotonic()
    with contextlib.suppress(TimeoutError):
        for number, (batch, tokens, own) in enumerate(_ROUNDS if room > 0 else ()):
            prompts = [_prompt(min(tokens, room), i * own, vocabulary) for i in range(min(batch, max_num_seqs))]
            spent = time.monotonic() - began
            if not own:  # one alone, that ends with its first token: the others find its prompt in the prefix cache
                alone = ask(f"{PREFIX}{number}-1-0-alone", prompts[0], 1)
                await asyncio.wait_for(alone, _left(number, spent, _COLD_SECONDS))
            began, spent = (time.monotonic(), 0.0) if not number else (began, time.monotonic() - began)
            names = [f"{PREFIX}{number}-{len(prompts)}-{i}" for i in range(len(prompts))]
            together = asyncio.gather(*(ask(*request, _STEPS) for request in zip(names, prompts, strict=True)))
            await asyncio.wait_for(together, _left(number, spent, _FIRST_SECONDS))
    return time.monotonic() - began


def _left(number: int, spent: float, first: float) -> float:
    return first if not number else max(0.0, _SECONDS - spent)


def _prompt(tokens: int, number: int, vocabulary: int) -> list[int]:
    """Prompts of other numbers have another beginning."""
    return [(1 + number + i) % vocabulary for i in range(tokens)]
