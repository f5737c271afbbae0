"""vLLM's real schedulers with made-up model outputs: no model, no worker, any number of steps under way."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from importlib import resources
from typing import Any

import numpy as np

BLOCK = 16


def a_scheduler(scheduler_class: Any, blocks: int = 400, most: int = 4, **options: Any) -> Any:
    """A scheduler for the demo model with itself as its draft model; nothing of either is loaded but their config."""
    import torch
    from vllm import EngineArgs
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.structured_output import StructuredOutputManager

    with resources.as_file(resources.files("sparkllm") / "demo" / "model") as model:
        config = EngineArgs(
            model=str(model),
            speculative_config={"method": "draft_model", "model": str(model), "num_speculative_tokens": most},
            additional_config={"sparkllm": options},
            enable_prefix_caching=False,
            block_size=BLOCK,
            max_num_seqs=16,
            max_num_batched_tokens=128,
            max_model_len=512,
        ).create_engine_config()
    config.cache_config.num_gpu_blocks = blocks
    layers = FullAttentionSpec(block_size=BLOCK, num_kv_heads=2, head_size=64, dtype=torch.float32)
    return scheduler_class(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(blocks, [], [KVCacheGroupSpec(["layer"], layers)]),
        structured_output_manager=StructuredOutputManager(config),
        block_size=BLOCK,
    )


def a_request(name: str, prompt_tokens: int, max_tokens: int, **sampling: Any) -> Any:
    """A request for `max_tokens` tokens."""
    from vllm import SamplingParams
    from vllm.v1.request import Request

    parameters = SamplingParams(max_tokens=max_tokens, ignore_eos=True, **sampling)
    return Request(name, list(range(1, 1 + prompt_tokens)), parameters, None)


class MadeUpWorker:
    """Answers request number i with the tokens 1000 * i, 1000 * i + 1, ..; accepts drafts by chance.

    With a depth above 1, steps are scheduled before the outputs of those before them are there, and the requests hold
    placeholders for drafts that only the worker knows.
    """

    def __init__(self, scheduler: Any, acceptance: float, depth: int, seed: int = 0) -> None:
        self.scheduler, self.acceptance, self.depth = scheduler, acceptance, depth
        self.rng = np.random.default_rng(seed)
        self.lengths: list[int] = []
        self.answers: defaultdict[str, list[int]] = defaultdict(list)
        self.preempted = 0
        self._emitted: Counter[str] = Counter()
        self._under_way: deque[tuple[Any, set[str]]] = deque()

    def run(self, steps: int = 100_000) -> None:
        """Step until nothing is left to do."""
        for _ in range(steps):
            if self.scheduler.has_unfinished_requests():
                output = self.scheduler.schedule()
                self.preempted += len(output.preempted_req_ids or ())
                prefilling = {i for i in output.num_scheduled_tokens if self.scheduler.requests[i].is_prefill_chunk}
                self._under_way.append((output, prefilling))
            elif not self._under_way:
                return
            if len(self._under_way) >= self.depth or not self.scheduler.has_unfinished_requests():
                self._finish(*self._under_way.popleft())

    def _finish(self, output: Any, prefilling: set[str]) -> None:
        from vllm.v1.outputs import DraftTokenIds, ModelRunnerOutput

        ids = list(output.num_scheduled_tokens)
        drafts = output.scheduled_spec_decode_tokens
        tokens = [[] if i in prefilling else self._tokens(i, len(drafts.get(i, ()))) for i in ids]
        model_output = ModelRunnerOutput(ids, {request_id: n for n, request_id in enumerate(ids)}, tokens)
        for outputs in self.scheduler.update_from_output(output, model_output).values():
            for one in outputs.outputs:
                self.answers[one.request_id].extend(one.new_token_ids)
        if self.depth == 1:
            new = [[7] * output.num_spec_tokens_to_schedule if got else [] for got in tokens]
            self.scheduler.update_draft_token_ids(DraftTokenIds(ids, new))

    def _tokens(self, request_id: str, drafts: int) -> list[int]:
        self.lengths.append(drafts)
        accepted = 0
        while accepted < drafts and self.rng.random() < self.acceptance:
            accepted += 1
        first = 1000 * int(request_id) + self._emitted[request_id]
        self._emitted[request_id] += 1 + accepted
        return list(range(first, first + 1 + accepted))
