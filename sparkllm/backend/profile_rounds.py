"""Requests of the engine's own, by which its scheduler measures how long steps take before it serves any other."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

__all__ = ["PREFIX", "run_rounds"]

PREFIX = "sparkllm-profile-"
_SECONDS = 2.0
_STEPS = 64  # a round ends by itself sooner
# Requests, and prompt tokens of each. What comes first tells most, as the time may end; the last tells what a longer
# context costs.
_ROUNDS = ((1, 16), (8, 16), (64, 16), (8, 512))


async def run_rounds(
    ask: Callable[[str, list[int], int], Awaitable[None]], max_num_seqs: int, max_model_len: int, vocabulary: int
) -> float:
    """Run the rounds until they end or two seconds have passed; return the seconds.

    Args:
        ask: has a request of that name answered, with that prompt and at most so many tokens, whatever they are.
        max_num_seqs: most requests of a step.
        max_model_len: longest prompt and answer, in tokens; where it leaves no room, nothing is measured.
        vocabulary: number of token ids.
    """
    began = time.monotonic()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_run(ask, max_num_seqs, max_model_len - _STEPS, vocabulary), _SECONDS)
    return time.monotonic() - began


async def _run(
    ask: Callable[[str, list[int], int], Awaitable[None]], max_num_seqs: int, room: int, vocabulary: int
) -> None:
    for number, (batch, tokens) in enumerate(_ROUNDS if room > 0 else ()):
        prompt = [i % vocabulary for i in range(1, 1 + min(tokens, room))]
        # One alone, that ends with its first token: the others find its prompt in the prefix cache.
        for requests, steps in ((1, 1), (min(batch, max_num_seqs), _STEPS)):
            names = [f"{PREFIX}{number}-{requests}-{i}-{steps}" for i in range(requests)]
            await asyncio.gather(*(ask(name, prompt, steps) for name in names))
