"""An engine without a model: it counts a query's tokens and prefix hits, as the estimate users ask for.

It reads the model's tokenizer, chat template and config.json, and no weights; nothing of torch or vLLM is imported.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from sparkllm.backend.block_cache import BlockCache
from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.engine import Answer, EngineInfo, EngineSpec, Sampling
from sparkllm.backend.model_files import chat_frames, model_files
from sparkllm.backend.placeholder import placeholder
from sparkllm.errors import ConfigError, EngineStartError

__all__ = ["DryRunEngine"]

_GIB = 1024**3
_BLOCK = {"cpu": 32, "gpu": 16}  # vLLM's own on a GPU; on a CPU, see `vllm_engine.engine_arguments`
_CACHE_GIB = {"cpu": 1.0, "gpu": 16.0}  # only vLLM knows what a GPU has free
_MAX_NUM_SEQS = 128  # vLLM's default
_LENGTHS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length", "max_seq_length",
    "seq_len", "model_max_length",
)  # fmt: skip
_NO_LENGTH = 2048  # what vLLM takes where the config names none
_LEAST_SLEEP = 0.002  # seconds; the event loop's timer is no finer


class DryRunEngine:
    """Counts what the real engine would compute; what it answers is in `placeholder`."""

    dead = False

    def __init__(self, spec: EngineSpec) -> None:
        """Read the model's small files.

        Raises:
            EngineStartError: no tokenizer.json, no config.json or no chat template.
            ConfigError: config.json does not tell the size of the KV cache.
        """
        files = model_files(spec.model)
        for name in ("tokenizer.json", "config.json"):
            if name not in files:
                raise EngineStartError(f"a dry run reads the model's {name}, found none on this host: download it")
        self._frames = chat_frames(files, spec.chat_template)
        frame = self._frames.of(Chat())
        kind = "cpu" if spec.devices == "cpu" else "gpu"
        block_size = spec.block_size or _BLOCK[kind]
        cache = int((spec.kv_cache_gib or _CACHE_GIB[kind]) * _GIB)
        blocks = cache // (block_size * _token_bytes(files["config.json"], spec.dtype))
        self._cache = BlockCache(block_size, blocks)
        self._rate = spec.tokens_per_second
        self._turn, self._busy_until = asyncio.Lock(), 0.0
        self.info = EngineInfo(
            model=spec.model,
            max_model_len=spec.max_model_len or _longest(files),
            block_size=block_size,
            device="none",
            tokenizer_json=files["tokenizer.json"].read_text(encoding="utf-8"),
            chat_prefix=frame.prefix,
            chat_suffix=frame.suffix,
            vllm_version="",
            cache_tokens=blocks * block_size,
            max_num_seqs=spec.max_num_seqs or _MAX_NUM_SEQS,
        )

    def frame(self, chat: Chat) -> Frame:
        """See `Engine.frame`."""
        return self._frames.of(chat)

    async def answer(self, request_id: str, token_ids: list[int], sampling: Sampling) -> Answer:
        """Count one prompt; see `Engine.answer`. No tokens are output."""
        tokens, most = len(token_ids), self.info.max_model_len
        if not 0 < tokens < most:
            return Answer(None, f"a prompt of 1 to {most - 1:,} tokens was expected, found {tokens:,}")
        if not self._rate:
            return Answer(placeholder(sampling), None, tokens, self._cache.add(token_ids))
        came = time.monotonic()
        async with self._turn:  # first come, first served
            cached = self._cache.add(token_ids)
            await self._compute(tokens - cached, came)
        return Answer(placeholder(sampling), None, tokens, cached)

    async def _compute(self, tokens: int, came: float) -> None:
        # An engine computes while this process does other things: what woke up late began in time all the same.
        self._busy_until = max(came, self._busy_until) + tokens / self._rate
        if (left := self._busy_until - time.monotonic()) > _LEAST_SLEEP:
            await asyncio.sleep(left)

    async def reset_prefix_cache(self) -> None:
        """See `Engine.reset_prefix_cache`."""
        self._cache.clear()

    async def ping(self) -> None:
        """It answers as long as the event loop runs."""

    def speculation(self) -> dict[str, int]:
        """None."""
        return {}


def _token_bytes(config: Path, dtype: str) -> int:
    """KV cache of one token."""
    from sparkllm.backend.placement.model_shape import ModelShape  # takes a second: scipy comes with it

    try:
        values = ModelShape.from_folder(config.parent).kv_values
    except ConfigError as error:
        raise EngineStartError(f"a dry run reads the size of the KV cache from config.json: {error}") from error
    return values * (4 if dtype == "float32" else 2)


def _longest(files: dict[str, Path]) -> int:
    """As vLLM derives it, but for configs that stretch their positions (RoPE scaling other than YaRN)."""
    config = json.loads(files["config.json"].read_bytes())
    known: list[Any] = [{**config, **(config.get("text_config") or {})}.get(name) for name in _LENGTHS]
    if "tokenizer_config.json" in files:
        known.append(json.loads(files["tokenizer_config.json"].read_bytes()).get("model_max_length"))
    return int(min((length for length in known if length), default=_NO_LENGTH))
