"""What speed-up over another contender the saved prompt tokens allow, and how much of it is reached.

by tokens   prompt tokens that the other one computed by those that sparkllm did: for answers of a token or two, where
            the prompts are all that there is to do
by line     seconds of the other one by those that sparkllm would take, were its prompt tokens all that is saved: on the
            line through (computed tokens, seconds) of the same engine without and with its prefix cache, which ask the
            same and answer the same; its height at no tokens is decoding, and what each request takes
"""

from __future__ import annotations

from typing import Any

__all__ = ["by_line", "by_tokens", "computed"]

Run = dict[str, Any]


def computed(run: Run) -> int:
    """Prompt tokens that were not in the KV cache."""
    return int(run["prompt_tokens"] - run["cached_tokens"])


def by_tokens(other: Run, ours: Run) -> float:
    """The bound where only prompts take time.

    >>> by_tokens({"prompt_tokens": 100, "cached_tokens": 20}, {"prompt_tokens": 100, "cached_tokens": 60})
    2.0
    """
    return computed(other) / max(1, computed(ours))


def by_line(uncached: Run, cached: Run, ours: Run) -> float | None:
    """The bound of the speed-up over `cached`; None where the two runs tell no line.

    >>> uncached = {"prompt_tokens": 100, "cached_tokens": 0, "seconds": 12.0}
    >>> cached = {"prompt_tokens": 100, "cached_tokens": 50, "seconds": 7.0}
    >>> round(by_line(uncached, cached, {"prompt_tokens": 100, "cached_tokens": 90}), 2)
    2.33
    """
    tokens = computed(uncached) - computed(cached)
    seconds = uncached["seconds"] - cached["seconds"]
    if tokens <= 0 or seconds <= 0:
        return None
    would = cached["seconds"] - (computed(cached) - computed(ours)) * seconds / tokens
    return float(cached["seconds"] / would) if would > 0 else None
