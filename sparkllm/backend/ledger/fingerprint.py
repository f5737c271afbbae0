"""The fingerprint of a model as answers see it: changes with whatever may change what the model answers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.model_path import fingerprint

__all__ = ["answers_fingerprint", "endpoint_fingerprint"]

# vLLM's arguments that say where and how fast, and nothing of the answer.
_WHERE_AND_HOW_FAST = {
    "async_scheduling", "block_size", "data_parallel_size", "disable_log_stats", "download_dir",
    "enable_prefix_caching", "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes",
    "max_num_batched_tokens", "max_num_seqs", "max_parallel_loading_workers", "pipeline_parallel_size", "swap_space",
    "tensor_parallel_size",
}  # fmt: skip


def answers_fingerprint(spec: EngineSpec, revision: str, tokenizer_json: str, frame: str, max_model_len: int) -> str:
    """24 hexadecimal digits.

    Covers the model's config and the names, sizes and times of its files (a hub model: id and revision), the tokenizer,
    the chat frame, the weights' type, the context (an answer may end there) and vLLM's other arguments. It does not
    cover vLLM's version, the device or how many GPUs share the model: they may change an answer in the last digits of
    its logits, as the other prompts of a batch do, and an upgrade would throw away all that was paid for.

    Args:
        spec: what the engine was asked to be.
        revision: commit of a hub model; empty for a folder.
        tokenizer_json: the tokenizer.
        frame: what the chat template puts around a message.
        max_model_len: longest prompt plus answer, in tokens.
    """
    options = {k: v for k, v in json.loads(spec.engine_options).items() if k not in _WHERE_AND_HOW_FAST}
    parts = [fingerprint(spec.model), revision, tokenizer_json, frame, str(max_model_len), spec.dtype]
    parts.append(json.dumps(options, sort_keys=True))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def endpoint_fingerprint(base_url: str, model: str, options: dict[str, Any]) -> str:
    """24 hexadecimal digits: of the address, the model's name and what else each request says.

    A server that puts another model behind the same name does not tell: clear the ledger then.
    """
    parts = json.dumps(["endpoint", base_url, model, options], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:24]
