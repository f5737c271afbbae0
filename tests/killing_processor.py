"""A plug-in of vLLM's that ends its engine process when it computes a certain prompt: a real row that kills it.

Or takes its memory away, once.

Given through spark.sparkllm.engineOptions, see `engine_options`.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from vllm.v1.sample.logits_processor import LogitsProcessor

__all__ = ["KillingProcessor"]


def engine_options(word: str, starves: Path | None = None) -> str:
    """The setting with which prompts that hold `word` kill the engine; or, with
    `starves`, a file that is not there yet, the first one leaves it without memory.
    """
    path = resources.files("sparkllm").joinpath("demo", "model", "tokenizer.json")
    tokens = Tokenizer.from_str(path.read_text(encoding="utf-8")).encode(f" {word}", add_special_tokens=False).ids
    # The first and the last piece may be joined with what stands around the word.
    settings = {"kills": tokens[1:-1], "starves": str(starves or "")}
    return json.dumps({"logits_processors": [f"{__name__}:KillingProcessor"], "additional_config": settings})


class KillingProcessor(LogitsProcessor):
    """Leaves logits as they are."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        self._kills = list(vllm_config.additional_config["kills"])
        self._starves = Path(vllm_config.additional_config["starves"])

    def update_state(self, batch_update: Any) -> None:
        """See vLLM's; told of each request before its first token."""
        for _, _, prompt, _ in batch_update.added if batch_update else ():
            if _holds(prompt or (), self._kills):
                self._strike()

    def _strike(self) -> None:
        if not self._starves.name:
            os._exit(1)
        if not self._starves.exists():
            self._starves.touch()
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (2**20, most))  # less than it has: nothing more can be allocated

    def apply(self, logits: Any) -> Any:
        return logits

    def is_argmax_invariant(self) -> bool:
        return True


def _holds(tokens: Sequence[int], part: Sequence[int]) -> bool:
    return any(list(tokens[i : i + len(part)]) == part for i in range(len(tokens) - len(part) + 1))
