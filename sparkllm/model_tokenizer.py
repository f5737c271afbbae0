"""The tokenizer of a model where no engine runs: from the model's own files, if they are on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparkllm.backend.chat import split_template
from sparkllm.backend.model_path import resolve
from sparkllm.errors import EngineStartError
from sparkllm.udf.joints import Joints
from sparkllm.udf.tokens import ChatTokenizer

__all__ = ["RoughTokenizer", "model_tokenizer"]

_BYTES_PER_TOKEN = 4


class RoughTokenizer:
    """Every four bytes are one token: about right for English, and texts with a common beginning share tokens.

    >>> [len(ids) for ids in RoughTokenizer().encode(["twelve bytes", "four"])]
    [3, 1]
    """

    joints = Joints(refused="four bytes are no real token")
    frame_end: list[int] = []  # noqa: RUF012 - it stays empty

    def encode(self, prompts: list[str]) -> list[list[int]]:
        """One id for each four bytes."""
        return [self.opening(text) for text in prompts]

    beginnings = pieces = encode

    def opening(self, text: str) -> list[int]:
        """The same for one text."""
        raw = text.encode()
        padded = raw + b"\0" * (-len(raw) % _BYTES_PER_TOKEN)
        return [int(i) for i in np.frombuffer(padded, dtype="<i4")]


def model_tokenizer(model: str, chat_template: str = "") -> ChatTokenizer | None:
    """The tokenizer of a model in a local folder or in Hugging Face's cache, with the model's chat frame.

    Nothing is downloaded. The frame is left out where it cannot be had without transformers; it is some ten tokens.

    Returns:
        None where there is no tokenizer.json.
    """
    try:
        files = _files(resolve(model))
    except EngineStartError:
        return None
    if "tokenizer.json" not in files:
        return None
    prefix, suffix = _frame(files, chat_template)
    return ChatTokenizer.shared(files["tokenizer.json"].read_text(encoding="utf-8"), prefix, suffix)


def _files(model: str) -> dict[str, Path]:
    from huggingface_hub import try_to_load_from_cache  # comes with tokenizers

    names = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    if Path(model).is_absolute():
        found = {name: Path(model, name) for name in names}
    else:
        cached = {name: try_to_load_from_cache(model, name) for name in names}
        found = {name: Path(path) for name, path in cached.items() if isinstance(path, str)}
    return {name: path for name, path in found.items() if path.is_file()}


def _frame(files: Mapping[str, Path], chat_template: str) -> tuple[str, str]:
    config = json.loads(files["tokenizer_config.json"].read_text(encoding="utf-8")) if len(files) > 1 else {}
    own = files.get("chat_template.jinja")
    template = chat_template or (own.read_text(encoding="utf-8") if own else config.get("chat_template"))
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:  # comes with vLLM, which a driver need not have
        return "", ""
    if not isinstance(template, str):
        return "", ""
    tokens = {name: _text(config.get(name)) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}

    def render(messages: list[dict[str, Any]]) -> str:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        options = {"add_generation_prompt": True, "enable_thinking": False}
        return environment.from_string(template).render(messages=messages, **tokens, **options)

    try:
        return split_template(render)
    except (EngineStartError, TemplateError):
        return "", ""


def _text(token: Any) -> str:
    return str(token.get("content", "") if isinstance(token, dict) else token or "")
