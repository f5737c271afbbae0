"""Prefix hits of a task's prompts, measured and predicted, with and without the instruction that all of them share.

A static instruction adds the same hits to every prompt and flatters the rate, so the data part is counted by itself:
sum of max(0, cached - static) over sum of (prompt - static) tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from sparkllm.optimizer.prefix.block_prefixes import BlockPrefixes

__all__ = ["PrefixCounter", "PrefixCounts"]


@dataclass(frozen=True)
class PrefixCounts:
    """What is expected of the KV cache for some prompts.

    Attributes:
        static: tokens at each prompt's beginning that no field can change, int32 [prompts].
        predicted: tokens that a cache of any size serves, int32 [prompts].
    """

    static: np.ndarray
    predicted: np.ndarray

    def of(self, cached: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(static, cached of the data, predicted, predicted of the data), int32 [prompts] each.

        Args:
            cached: tokens that the engine found in its cache, int32 [prompts].
        """
        nothing = np.int32(0)
        data, predicted_data = (np.maximum(nothing, tokens - self.static) for tokens in (cached, self.predicted))
        return self.static, data, self.predicted, predicted_data


class PrefixCounter:
    """Follows the prompts of one task in the order they are sent."""

    def __init__(self, opening: list[int], block_size: int, closing: int = 0) -> None:
        """Nothing has been sent yet.

        Args:
            opening: token ids of the chat frame and the instruction, as far as no field comes in.
            block_size: tokens of a cache block.
            closing: where another call sends the same prompts before, but for their end: tokens of that end; else 0.
        """
        self._opening = np.array(opening, dtype=np.int32)
        self._closing = closing
        self._prefixes = BlockPrefixes(block_size)

    def add(self, prompts: pa.ListArray) -> PrefixCounts:
        """Count these prompts (list<int32>) as sent."""
        ids, ends = prompts.values.to_numpy(), prompts.offsets.to_numpy()
        each = [ids[begin:end] for begin, end in pairwise(ends)]
        static = np.array([self._shared(prompt) for prompt in each], dtype=np.int32)
        predicted = [self._prefixes.add(prompt, self._sent(prompt)) for prompt in each]
        return PrefixCounts(static, np.array(predicted, dtype=np.int32))

    def _sent(self, prompt: np.ndarray) -> int:
        return max(0, len(prompt) - self._closing) if self._closing else 0

    def _shared(self, prompt: np.ndarray) -> int:
        """The last tokens of the instruction may have merged with the data's first."""
        length = min(len(prompt), len(self._opening))
        differs = np.flatnonzero(prompt[:length] != self._opening[:length])
        return int(differs[0]) if len(differs) else length
