"""What the tokens in the KV cache cost a step: seconds that grow with the context, apart from those of the batch.

A step looks up the context of every request. An accelerator reads it once, whatever the number of draft tokens
verified (SmartSpec's term, arXiv 2406.14066); where the arithmetic of attention takes longer than reading, as on a CPU,
each draft token looks it up anew. Both are told apart by steps of the same number of tokens with different contexts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from sparkllm.spec.arrays import Floats, Ints

__all__ = ["ContextCost", "slope"]


@dataclass(frozen=True)
class ContextCost:
    """Seconds of a context token.

    Attributes:
        once: in every step that has it in its batch.
        again: for each draft token that looks it up.
    """

    once: float = 0.0
    again: float = 0.0

    @classmethod
    def of(cls, target: Sequence[Sequence[float]]) -> Self:
        """From the points of a profile, as `Profile.target`; never negative.

        Contexts of different numbers of tokens are not compared: where both grow together, nobody knows which of them
        took the time.
        """
        if not target:
            return cls()
        groups = defaultdict(list)
        for point in target:
            tokens, context, seconds, *requests = point
            per_request = tokens / (requests[0] if requests else tokens)
            groups[tokens].append((context, context * (per_request - 1), seconds))
        rows = [np.array(group) for group in groups.values()]
        # A busy machine's noise is a share of the time: small steps tell more.
        away = np.concatenate([(group - group.mean(axis=0)) / group[:, 2].mean() for group in rows])
        return cls(*_not_negative(away[:, :2], away[:, 2]))

    def seconds(self, context: float, drafts: Floats | Ints | float, batch: int) -> Floats | float:
        """Of `context` tokens over a batch of requests which verify so many draft tokens."""
        return context * (self.once + self.again * drafts / max(1, batch))


def _not_negative(inputs: Floats, seconds: Floats) -> tuple[float, float]:
    """Least squares of two coefficients that are 0 or more."""
    if np.linalg.matrix_rank(inputs) == 2:
        both = np.linalg.lstsq(inputs, seconds, rcond=None)[0]
        if (both >= 0).all():
            return float(both[0]), float(both[1])
    alone = [slope(column, seconds) for column in inputs.T]
    left = [float(((seconds - a * column) ** 2).sum()) for a, column in zip(alone, inputs.T, strict=True)]
    return (alone[0], 0.0) if left[0] <= left[1] else (0.0, alone[1])


def slope(inputs: Floats, seconds: Floats) -> float:
    """Least squares of one coefficient that is 0 or more."""
    square = float(inputs @ inputs)
    return max(0.0, float(inputs @ seconds) / square) if square else 0.0
