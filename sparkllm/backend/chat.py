"""The chat template around one user message, as two strings.

The worker tokenises prefix, message and suffix itself: the message without special tokens, so that no text in the
data can end the user's turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparkllm.errors import EngineStartError

__all__ = ["split_template"]

_SENTINEL = "sparkllm5f2e9c71sentinel"


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
