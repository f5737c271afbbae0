"""The tokenizer of a model where no engine runs: from the model's own files, if they are on this machine."""

from __future__ import annotations

import numpy as np

from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.chat_template import template_text
from sparkllm.backend.endpoint.messages import EndpointText, marked
from sparkllm.backend.endpoint.settings import EndpointSettings
from sparkllm.backend.model_files import chat_frames, model_files
from sparkllm.backend.model_path import resolve
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError, EngineStartError
from sparkllm.udf.joints import Joints
from sparkllm.udf.tokens import ChatTokenizer

__all__ = ["RoughTokenizer", "endpoint_tokenizer", "model_tokenizer"]

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


def model_tokenizer(model: str, chat_template: str = "", chat: Chat | None = None) -> ChatTokenizer | None:
    """The tokenizer of a model in a local folder or in Hugging Face's cache, with the model's chat frame.

    Nothing is downloaded. The frame is left out where it cannot be had; it is some ten tokens, and a system prompt.

    Args:
        model: path or id.
        chat_template: the setting of that name.
        chat: how the calls are framed.

    Returns:
        None where there is no tokenizer.json.
    """
    try:
        files = model_files(resolve(model))
    except EngineStartError:
        return None
    if "tokenizer.json" not in files:
        return None
    try:
        frame = chat_frames(files, template_text(chat_template)).of(chat or Chat())
    except (EngineStartError, ConfigError):
        frame = Frame("", "")
    return ChatTokenizer.shared(files["tokenizer.json"].read_text(encoding="utf-8"), frame.prefix, frame.suffix)


def endpoint_tokenizer(config: LLMConfig, model: str, chat: Chat) -> ChatTokenizer:
    """What counts the tokens of prompts to `openai:NAME`; the server, which counts its own, is not asked.

    Raises:
        EngineStartError, ConfigError: see `marked`, `EndpointText.frame` and `EndpointSettings.of`.
    """
    name = EndpointSettings.of(config, model).tokenizer
    tokenizer_json = marked(model_files(name), name)
    frame = EndpointText(tokenizer_json).frame(chat)
    return ChatTokenizer.shared(tokenizer_json, frame.prefix, frame.suffix)
