"""The settings that a measured speed, and the length of the answers, hold for."""

from __future__ import annotations

from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.backend.engine import DRY_RUN
from sparkllm.config import LLMConfig

__all__ = ["answers_nothing", "speed_settings"]

_ASKED = ("max_tokens", "temperature", "system_prompt", "thinking", "max_model_len", "max_in_flight")
_ENGINE = (
    "engine",
    "dry_run_tokens_per_second",
    "chat_template",
    "dtype",
    "block_size",
    "kv_cache_gib",
    "gpu_memory_utilization",
    "max_num_seqs",
    "speculation",
    "engine_options",
)
_ENDPOINT = ("base_url", "endpoint_concurrency", "endpoint_vocabulary", "endpoint_options")


def speed_settings(config: LLMConfig, model: str) -> tuple[object, ...]:
    """Equal where nothing stands against it that one speed holds for both.

    >>> one = speed_settings(LLMConfig(), "demo")
    >>> others = LLMConfig(ledger="off"), LLMConfig(engine="dry-run"), LLMConfig(max_tokens=512)
    >>> [speed_settings(other, "demo") == one for other in others]
    [True, False, False]
    """
    names = (*_ASKED, *(_ENDPOINT if is_endpoint(model) else _ENGINE))
    return tuple(getattr(config, name) for name in names)


def answers_nothing(config: LLMConfig, model: str) -> bool:
    """Whether its answers are a dry run's, which have no tokens; an endpoint is asked there too."""
    return config.engine == DRY_RUN and not is_endpoint(model)
