"""A model's tokenizer and chat template, read from its files: where there is no transformers and no engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkllm.backend.chat import Frames, start_of_text
from sparkllm.backend.chat_template import default_template, renderer
from sparkllm.backend.thoughts import Thoughts
from sparkllm.errors import EngineStartError

__all__ = ["LEGACY_TEMPLATE", "chat_frames", "model_files", "own_template"]

LEGACY_TEMPLATE = "chat_template.json"  # of models that see pictures; newer ones have chat_template.jinja
_NAMED_DEFAULT = "additional_chat_templates/default.jinja"
_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json", "chat_template.jinja",
    _NAMED_DEFAULT, LEGACY_TEMPLATE,
)  # fmt: skip


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


def own_template(files: Mapping[str, Path]) -> str:
    """The text of the model's chat template, where transformers and vLLM find it; "" where it has none.

    Raises:
        EngineStartError: there are several, and none is called default.
    """
    for name in (_NAMED_DEFAULT, "chat_template.jinja"):
        if name in files:
            return files[name].read_text(encoding="utf-8")
    for name in ("tokenizer_config.json", LEGACY_TEMPLATE):
        if template := default_template(_json(files, name).get("chat_template")):
            return template
    return ""


def chat_frames(files: Mapping[str, Path], template: str = "", tokenizer: Any = None) -> Frames:
    """What the model's chat template, or `template` if it is not empty, makes of a call.

    Args:
        files: see `model_files`.
        template: Jinja text.
        tokenizer: the `tokenizers.Tokenizer` of the files; read from them where it is not given.

    Raises:
        EngineStartError: there is no template, or see `renderer`.
    """
    from tokenizers import Tokenizer

    text = template or own_template(files)
    if not text:
        raise EngineStartError("a chat template was expected, the model's tokenizer has none")
    if tokenizer is None:
        tokenizer = Tokenizer.from_file(str(files["tokenizer.json"]))
    return Frames(renderer(text, _tokens(files)), Thoughts.of(tokenizer, text), start_of_text(tokenizer, text))


def _tokens(files: Mapping[str, Path]) -> dict[str, str]:
    """The special tokens that have a name; one without a value is not there, as in transformers."""
    named = _json(files, "special_tokens_map.json") | _json(files, "tokenizer_config.json")
    texts = {name: _text(token) for name, token in named.items() if name.endswith("_token")}
    return {name: text for name, text in texts.items() if text}


def _text(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else token if isinstance(token, str) else ""


def _json(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    return dict(json.loads(files[name].read_bytes())) if name in files else {}
