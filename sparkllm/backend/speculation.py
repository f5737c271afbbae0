"""The setting `spark.sparkllm.speculation`, as vLLM's engine arguments."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkllm.backend.model_path import resolve
from sparkllm.backend.profile_rounds import PREFIX
from sparkllm.errors import EngineStartError

__all__ = [
    "SCHEDULERS",
    "SPECULATION",
    "read_sums",
    "resolve_speculation",
    "speculative",
]

# The scheduler is named, not imported: it imports vllm. By whether scheduling is asynchronous.
SCHEDULERS = {
    False: "sparkllm.spec.scheduler.GoodputScheduler",
    True: "sparkllm.spec.scheduler.GoodputAsyncScheduler",
}
# Sums over the steps: those with decodes and those of them without drafts; tokens decoded, drafted, accepted, first
# rejections; predicted and measured microseconds; engines whose choice of draft lengths failed.
SPECULATION = (
    "steps", "without_drafts", "decodes", "drafted", "accepted", "rejected", "seconds_us", "predicted_us", "fallbacks",
)  # fmt: skip
_MOST = {"ngram": 8, "suffix": 16, "draft": 8, "eagle": 5}
# vLLM's: with these it refuses to speculate, or has draft lengths of its own.
_NOT_WITH = ("speculative_config", "scheduler_cls", "logits_processors", "data_parallel_size", "diffusion_config")


def resolve_speculation(setting: str, devices: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """What an engine does for a setting: off, auto, ngram, suffix, draft:<folder> or eagle:<folder>; and that model.

    An engine's auto is n-grams, if vLLM does not refuse them when it reads the model's configuration.

    Raises:
        EngineStartError: the draft model or suffix decoding's package is not there.
    """
    if setting == "auto":
        # On a GPU n-grams would cost vLLM's asynchronous scheduling and full CUDA graphs.
        return "auto" if devices == "cpu" and not any(map(options.get, _NOT_WITH)) else "off", ""
    kind, _, model = setting.partition(":")
    if model:
        drafter = resolve(model, "spark.sparkllm.speculation")
        return f"{kind}:{drafter}", drafter
    if kind == "suffix" and importlib.util.find_spec("arctic_inference") is None:
        raise EngineStartError(
            "spark.sparkllm.speculation=suffix: expected the package arctic-inference beside vLLM, found none: "
            "pip install arctic-inference, or set it to ngram"
        )
    return setting, ""


def speculative(speculation: str, summary: Path, varying_up_to: int = 0) -> dict[str, Any]:
    """Engine arguments for what `resolve_speculation` gave; none for off.

    Args:
        speculation: what it gave.
        summary: file for what was done.
        varying_up_to: tell vLLM that draft lengths vary, up to this batch size; it then takes other CUDA graphs.
    """
    kind, _, model = ("ngram" if speculation == "auto" else speculation).partition(":")
    if kind == "off":
        return {}
    most = _MOST[kind]
    method = {"draft": "draft_model", "eagle": "eagle3" if "eagle3" in model.lower() else "eagle"}.get(kind, kind)
    config: dict[str, Any] = {"method": method, "num_speculative_tokens": most}
    if model:
        config["model"] = model
    if kind == "ngram":
        config |= {"prompt_lookup_min": 2, "prompt_lookup_max": 5}
    if varying_up_to:
        # One length for all: what vLLM reads there is replaced by the length of the moment.
        config["num_speculative_tokens_per_batch_size"] = [[1, varying_up_to, most]]
    ours = {"profile_prefix": PREFIX, "summary": str(summary)}
    return {"speculative_config": config, "additional_config": {"sparkllm": ours}}


def read_sums(file: Path) -> dict[str, int]:
    """What the scheduler has written to the file of `speculative`; nothing where it has not begun."""
    with contextlib.suppress(OSError, ValueError):
        return {str(name): int(value) for name, value in json.loads(file.read_bytes()).items()}
    return {}
