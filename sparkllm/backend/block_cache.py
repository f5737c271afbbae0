"""A prefix cache as vLLM's: whole blocks of tokens, found by a chained hash; the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["BlockCache"]


class BlockCache:
    """Blocks of the prompts seen so far, as many as there is room for.

    Limits: prompts count as computed one after the other. vLLM runs many at a time, whose blocks cannot be evicted
    meanwhile; and it keeps blocks of answers, too, which prompts never find.

    >>> cache = BlockCache(block_size=2, blocks=4)
    >>> [cache.add(ids) for ids in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 2, 3, 4], [7] * 8, [1, 2, 3, 4])]
    [0, 4, 2, 0, 0]
    """

    def __init__(self, block_size: int, blocks: int) -> None:
        """An empty cache of `blocks` blocks of `block_size` tokens."""
        self._size, self._blocks = block_size, blocks
        self._cached: OrderedDict[object, None] = OrderedDict()

    def add(self, token_ids: list[int]) -> int:
        """Tokens of this prompt that the cache serves; then its blocks are there themselves.

        The last token is always computed anew, and with it its block.
        """
        keys = self._keys(token_ids)
        hits = next((i for i, key in enumerate(keys) if key not in self._cached), len(keys))
        if len(token_ids) % self._size:
            keys.append(object())  # the block that is not full takes room, and nobody can find it
        # The end of a prompt is freed first, so that it goes before what more prompts begin with.
        for key in reversed(keys):
            self._cached[key] = None
            self._cached.move_to_end(key)
        while len(self._cached) > self._blocks:
            self._cached.popitem(last=False)
        return min(hits, max(0, len(token_ids) - 1) // self._size) * self._size

    def clear(self) -> None:
        """Forget everything."""
        self._cached.clear()

    def _keys(self, token_ids: list[int]) -> list[object]:
        keys, chain = [], 0
        for end in range(self._size, len(token_ids) + 1, self._size):
            chain = hash((chain, *token_ids[end - self._size : end]))
            keys.append(chain)
        return list[object](keys)
