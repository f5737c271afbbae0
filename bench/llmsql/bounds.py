"""What speed-up the saved prompt tokens allow.

by tokens   prompt tokens that the other one computed by those that sparkllm did: for answers of a token or two, where
            the prompts are all that there is to do
by line     seconds at the other one's computed tokens by those at sparkllm's, on a line through (computed tokens,
            seconds) of contenders that sparkllm's code does not order for: one engine, the same requests, the same
            answers' lengths; its height at no tokens is decoding, and what each request takes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

__all__ = ["Line", "by_tokens", "computed"]

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


class Line:
    """Seconds by computed tokens: least squares, neither height nor slope below 0.

    >>> tokens = {"prompt_tokens": 100, "cached_tokens": 0}, {"prompt_tokens": 100, "cached_tokens": 50}
    >>> line = Line([tokens[0] | {"seconds": 12.0}, tokens[1] | {"seconds": 7.0}])
    >>> round(line.bound(tokens[1], {"prompt_tokens": 100, "cached_tokens": 90}), 2)
    2.33
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        tokens = np.array([computed(run) for run in runs], dtype=float)
        (self.height, self.slope), _ = nnls(
            np.column_stack((np.ones_like(tokens), tokens)), [r["seconds"] for r in runs]
        )

    def bound(self, other: Run, ours: Run) -> float:
        """What speed-up over `other` it allows."""
        ends = (self.height + self.slope * computed(run) for run in (other, ours))
        return float(next(ends) / next(ends))
