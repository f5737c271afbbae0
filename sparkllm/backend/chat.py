"""What a worker needs of a model's tokenizer: the tokenizer itself, and what stands around a user's message.

It tokenises prefix, message and suffix itself: the message without special tokens, so that no text in the
data can end the user's turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparkllm.errors import EngineStartError

__all__ = ["around_message", "fast_tokenizer", "split_template"]

_SENTINEL = "sparkllm5f2e9c71sentinel"


def fast_tokenizer(tokenizer: Any) -> Any:
    """The `tokenizers.Tokenizer` inside a model's tokenizer, which cuts and pads nothing.

    Raises:
        EngineStartError: it has none.
    """
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EngineStartError(
            f"a fast tokenizer (tokenizer.json) was expected, found {type(tokenizer).__name__}: "
            f"take a model that comes with tokenizer.json"
        )
    copy = Tokenizer.from_str(backend.to_str())
    # Some models' files ask for it; a prompt cut without a word would be a wrong answer.
    copy.no_truncation()
    copy.no_padding()
    return copy


def around_message(tokenizer: Any, template: str) -> tuple[str, str]:
    """What a model's chat template, or `template` if it is not empty, puts before and after a user's message.

    Raises:
        EngineStartError: there is no template, or see `split_template`.
    """
    if not (template or getattr(tokenizer, "chat_template", None)):
        raise EngineStartError("a chat template was expected, the model's tokenizer has none")

    def render(messages: list[dict[str, Any]]) -> str:
        # Templates ignore what they do not know; Qwen3 and others would think aloud before they answer.
        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        return str(tokenizer.apply_chat_template(messages, chat_template=template or None, **options))

    return split_template(render)


def split_template(render: Callable[[list[dict[str, Any]]], str]) -> tuple[str, str]:
    """What `render` (a chat template) puts before and after the content of one user message.

    >>> split_template(lambda messages: f"<user>{messages[0]['content']}<end><assistant>")
    ('<user>', '<end><assistant>')

    Raises:
        EngineStartError: the template fails, or does not write the content exactly once.
    """
    try:
        text = render([{"role": "user", "content": _SENTINEL}])
    except Exception as error:
        raise EngineStartError(
            f"a chat template that takes one user message was expected, it failed: {type(error).__name__}: {error}"
        ) from error
    count = text.count(_SENTINEL)
    if count != 1:
        raise EngineStartError(
            f"the chat template must write the user's message exactly once, it wrote it {count} times"
        )
    prefix, _, suffix = text.partition(_SENTINEL)
    return prefix, suffix
