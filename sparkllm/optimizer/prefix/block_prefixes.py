"""What a KV cache serves of prompts sent one after the other: the prediction beside which the engine's counts stand.

vLLM caches whole blocks of tokens, finds a prompt's blocks by a chained hash, and always computes the last token anew.
"""

from __future__ import annotations

import numpy as np

__all__ = ["BlockPrefixes"]

_MOST_BLOCKS = 1_000_000


class BlockPrefixes:
    """Prompts seen so far, as the chained hashes of their whole blocks: a cache of any size, cold at the start.

    Limits: after a million different blocks (76 MiB) nothing more is learnt, and the prediction becomes a lower bound.

    >>> prefixes = BlockPrefixes(2)
    >>> [prefixes.add(np.array(ids, dtype=np.int32)) for ids in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 2, 3, 4])]
    [0, 4, 2]
    """

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._seen: set[int] = set()

    def add(self, token_ids: np.ndarray, sent: int = 0) -> int:
        """Tokens of this prompt (int32 [tokens]) that earlier ones left in the cache; then it is there itself.

        Its first `sent` tokens are known to have been sent before, by somebody else.
        """
        size, served, chain = self._block_size, 0, 0
        hitting = True
        for end in range(size, len(token_ids) + 1, size):
            chain = hash((chain, token_ids[end - size : end].tobytes()))
            hitting = hitting and (end <= sent or chain in self._seen)
            if hitting and end < len(token_ids):
                served = end
            if len(self._seen) < _MOST_BLOCKS:
                self._seen.add(chain)
        return served
