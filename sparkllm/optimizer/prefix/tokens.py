"""Tokens served, by a cache of any size: single ones, and in whole blocks as vLLM caches them."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.prefix.sequences import Sequences, longest_earlier
from sparkllm.optimizer.prefix.served import Served

__all__ = ["blocks", "tokens"]


def tokens(prompts: Sequences, static: int | np.ndarray = 0) -> Served:
    """The longest token prefix that each prompt shares with any earlier one.

    Args:
        prompts: token ids in the order in which they are sent.
        static: tokens at each prompt's beginning that no field can change.

    >>> tokens(Sequences.of([[1, 2, 3], [1, 2, 3], [1, 4]])).hits.tolist()
    [0, 3, 1]
    """
    return Served.of(longest_earlier(prompts), prompts.lengths, static)


def blocks(prompts: Sequences, block_size: int, static: int | np.ndarray = 0) -> Served:
    """The same in vLLM's blocks: whole ones only, and the last token is always computed anew.

    Equal to what `BlockPrefixes` counts one by one, without hashes.

    Args:
        prompts, static: as in `tokens`; the chat frame is part of a prompt.
        block_size: tokens of a block.

    >>> blocks(Sequences.of([[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 2, 3, 4]]), 2).hits.tolist()
    [0, 4, 2]
    """
    shared = longest_earlier(prompts) // block_size * block_size
    most = np.maximum(0, prompts.lengths - 1) // block_size * block_size
    return Served.of(np.minimum(shared, most), prompts.lengths, static)
