"""A model's tokenizer and chat template, read from its files: where there is no transformers and no engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkllm.backend.chat import split_template
from sparkllm.errors import EngineStartError

__all__ = ["chat_frame", "model_files"]

_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json")
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


def model_files(model: str) -> dict[str, Path]:
    """Those of a model's small files that are on this machine, in its folder or in Hugging Face's cache, by name.

    Nothing is downloaded.

    Args:
        model: resolved folder or hub id, see `model_path.resolve`.
    """
    if Path(model).is_absolute():
        found = {name: Path(model, name) for name in _FILES}
    else:
        from huggingface_hub import try_to_load_from_cache  # comes with tokenizers

        cached = {name: try_to_load_from_cache(model, name) for name in _FILES}
        found = {name: Path(path) for name, path in cached.items() if isinstance(path, str)}
    return {name: path for name, path in found.items() if path.is_file()}


def chat_frame(files: Mapping[str, Path], template: str = "") -> tuple[str, str]:
    """What the model's chat template, or `template` if it is not empty, puts before and after a user's message.

    Raises:
        EngineStartError: there is no template, no jinja2 to read it, or see `split_template`.
    """
    config = json.loads(files["tokenizer_config.json"].read_bytes()) if "tokenizer_config.json" in files else {}
    own = files.get("chat_template.jinja")
    text = template or (own.read_text(encoding="utf-8") if own else config.get("chat_template"))
    if not isinstance(text, str):
        raise EngineStartError("a chat template was expected, the model's tokenizer has none")
    try:
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:  # comes with vLLM
        raise EngineStartError("jinja2 was expected, to read the model's chat template: pip install jinja2") from None
    tokens = {name: _text(config.get(name)) for name in _SPECIAL_TOKENS}

    def render(messages: list[dict[str, Any]]) -> str:
        # As transformers does it; loopcontrols are what some templates' `break` needs.
        options = {"trim_blocks": True, "lstrip_blocks": True, "extensions": ["jinja2.ext.loopcontrols"]}
        environment = ImmutableSandboxedEnvironment(**options)  # type: ignore[arg-type]
        chat = {"messages": messages, "add_generation_prompt": True, "enable_thinking": False}
        return environment.from_string(text).render(**chat, **tokens)

    return split_template(render)


def _text(token: Any) -> str:
    return str(token.get("content", "") if isinstance(token, dict) else token or "")
