"""A bounded cache serves what vLLM's own KV cache manager serves, to the block."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from sparkllm.optimizer.prefix import Sequences, lru_blocks

torch = pytest.importorskip("torch")
pytest.importorskip("vllm")


class Manager:
    """vLLM's manager without a model: `concurrency` requests run, the oldest ends first."""

    def __init__(self, block_size: int, capacity: int, concurrency: int, answer_tokens: int) -> None:
        from vllm.utils.hashing import sha256
        from vllm.v1.core.kv_cache_manager import KVCacheManager
        from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
        from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec

        init_none_hash(sha256)
        spec = FullAttentionSpec(block_size=block_size, num_kv_heads=1, head_size=8, dtype=torch.float32)
        blocks = capacity + 1  # one is never used
        config = KVCacheConfig(blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)])
        self.vllm = KVCacheManager(config, 4096, scheduler_block_size=block_size, hash_block_size=block_size)
        self.hasher = get_request_block_hasher(block_size, sha256)
        self.block_size, self.concurrency, self.answer_tokens = block_size, concurrency, answer_tokens
        self.running: list[Any] = []

    def serve(self, name: int, prompt: list[int]) -> int:
        """Run one prompt; tokens that were found."""
        while len(self.running) >= self.concurrency:
            self.vllm.free(self.running.pop(0))
        request = self.request(name, prompt)
        room = -(-(len(prompt) + self.answer_tokens - 1) // self.block_size)
        while True:
            found, tokens, _ = self.vllm.get_computed_blocks(request)
            idle = sum(block.ref_cnt == 0 for block in found.blocks[0])
            if room - len(found.blocks[0]) + idle <= self.vllm.block_pool.get_num_free_blocks():
                break
            self.vllm.free(self.running.pop(0))
        assert self.vllm.allocate_slots(request, len(prompt) - tokens, tokens, found) is not None
        request.num_computed_tokens = len(prompt)
        for i in range(self.answer_tokens - 1):
            request.append_output_token_ids(1_000_000 + 1000 * name + i)  # an answer is like no other
            assert self.vllm.allocate_slots(request, 1) is not None
            request.num_computed_tokens += 1
        self.running.append(request)
        return int(tokens)

    def request(self, name: int, prompt: list[int]) -> Any:
        from vllm import SamplingParams
        from vllm.v1.request import Request

        sampling = SamplingParams(max_tokens=self.answer_tokens)
        return Request(str(name), prompt, sampling, None, block_hasher=self.hasher)


def workloads(seed: int) -> Iterator[tuple[list[list[int]], int, int, int, int]]:
    """Prompts that share beginnings, and caches too small for them: (prompts, block, capacity, concurrency, answer)."""
    draw = random.Random(seed)
    for _ in range(10):
        size, answer, concurrency = draw.choice([1, 2, 4, 16]), draw.randint(1, 6), draw.randint(1, 6)
        stems = [[draw.randrange(3) for _ in range(draw.randint(1, 5 * size))] for _ in range(6)]
        prompts = [list(chain(*draw.choices(stems, k=draw.randint(1, 4)))) for _ in range(60)]
        least = max(-(-(len(prompt) + answer - 1) // size) for prompt in prompts)
        yield prompts, size, least + draw.randint(0, 40), concurrency, answer


@pytest.mark.parametrize("seed", range(3))
def test_a_bounded_cache_serves_what_vllm_serves(seed: int) -> None:
    forgotten = 0
    for prompts, size, capacity, concurrency, answer in workloads(seed):
        manager = Manager(size, capacity, concurrency, answer)
        served = [manager.serve(i, prompt) for i, prompt in enumerate(prompts)]
        sent = Sequences.of(prompts)
        assert lru_blocks(sent, size, capacity, concurrency, answer).hits.tolist() == served
        forgotten += int(lru_blocks(sent, size, 10_000, concurrency, answer).hits.sum()) - sum(served)
    assert forgotten > 0
