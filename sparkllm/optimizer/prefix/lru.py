"""Blocks served by a KV cache that is full: vLLM's eviction, prompt by prompt."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.prefix.sequences import Sequences, sorted_common
from sparkllm.optimizer.prefix.served import Served

__all__ = ["block_nodes", "lru_blocks"]


def lru_blocks(
    prompts: Sequences,
    block_size: int,
    capacity: int,
    concurrency: int = 1,
    answer_tokens: int = 1,
    static: int | np.ndarray = 0,
) -> Served:
    """Tokens that vLLM's prefix cache serves of each prompt.

    As in vLLM 0.32 (v1/core/block_pool.py): whole blocks are found by the chain of their contents; the last token is
    always computed; blocks of a request that runs stay; a finished request's blocks are freed in reverse order, so
    that its tail goes first, those that are no whole block are reused before all others; the least recently freed
    block is evicted first; a block computed twice is held twice. `concurrency` requests run at a time, each next one
    starts when the oldest ends, and earlier where the cache would not hold its blocks: then more have to end first.

    Args:
        prompts, static: as in `tokens`.
        block_size: tokens of a block.
        capacity: blocks of the cache (vLLM's `num_gpu_blocks` less one, which it never uses).
        concurrency: requests that run at a time.
        answer_tokens: tokens of every answer; all but the last take room, and whole blocks of them stay for nothing.

    Raises:
        ValueError: a prompt and its answer need more than `capacity` blocks: vLLM would refuse it.

    Limits: answers of one length; a prompt is computed in one step, and its answer's blocks are taken with the
    prompt's. vLLM frees the blocks of all requests that end in a step together and so has fewer in use on average: it
    served up to half a point more than predicted (bench/engine_cache.py).

    >>> prompts = Sequences.of([[1, 2, 3, 4, 0], [5, 6, 7, 8, 0], [1, 2, 3, 4, 0]])
    >>> lru_blocks(prompts, 2, capacity=6).hits.tolist(), lru_blocks(prompts, 2, capacity=4).hits.tolist()
    ([0, 0, 4], [0, 0, 2])
    """
    from sparkllm.optimizer.prefix.lru_loop import simulate  # numba takes half a second to load

    if min(block_size, capacity, concurrency, answer_tokens) < 1:
        raise ValueError("expected block_size, capacity, concurrency and answer_tokens to be at least 1")
    room = prompts.lengths + answer_tokens - 1
    needed = -(-room // block_size)
    if needed.max(initial=0) > capacity:
        raise ValueError(f"a prompt with its answer needs {needed.max()} blocks, the cache has {capacity}")
    nodes, starts = block_nodes(prompts, block_size)
    findable = np.maximum(0, prompts.lengths - 1) // block_size
    found = simulate(nodes, starts, findable, room // block_size, needed, capacity, concurrency)
    return Served.of(found * block_size, prompts.lengths, static)


def block_nodes(prompts: Sequences, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Number the whole blocks of all prompts such that two have the same number where they and all before them agree.

    Returns:
        nodes: int64 [all whole blocks], 0, 1, ...
        starts: int64 [n + 1]; those of prompt i are nodes[starts[i]:starts[i + 1]].

    >>> [part.tolist() for part in block_nodes(Sequences.of([[1, 2, 3, 4], [1, 2, 5, 6], [3, 4]]), 2)]
    [[0, 2, 0, 3, 1], [0, 2, 4, 5]]
    """
    order, common = sorted_common(prompts)
    counts = prompts.lengths // block_size
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    nodes = np.empty(starts[-1], dtype=np.int64)
    here, depth, known = np.arange(len(order)), 0, 0
    while len(here := here[counts[order[here]] > depth]):
        new = common[here] < (depth + 1) * block_size
        nodes[starts[order[here]] + depth] = known + np.cumsum(new) - 1
        known += int(new.sum())
        depth += 1
    return nodes, starts
