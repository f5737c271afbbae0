"""What stands around a user's message: made from the model's chat template, a system prompt, and how much to think.

A worker tokenises prefix, message and suffix itself: the message without special tokens, so that no text in the
data can end the user's turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sparkllm.backend.chat_template import PLAIN, Messages, Render, default_template, one_day
from sparkllm.backend.thoughts import Thoughts
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineStartError

__all__ = ["Chat", "Frame", "Frames", "fast_tokenizer", "own_renderer", "split_template"]

_SENTINEL = "sparkllm5f2e9c71sentinel"
_SYSTEM = "sparkllm5f2e9c71system"
AUTO, OFF, ON = "auto", "off", "on"


@dataclass(frozen=True)
class Chat:
    """How a call's prompts are framed; it is the call's, not the engine's, so that another one starts no engine.

    Attributes:
        system: the system prompt; empty for none.
        thinking: auto, off or on, see `LLMConfig.thinking`.
        held: the answer is one of some choices, or typed, so that it must begin with the first token.
    """

    system: str = ""
    thinking: str = AUTO
    held: bool = False

    @classmethod
    def of(cls, config: LLMConfig, held: bool) -> Self:
        """What the session's settings say for a call."""
        return cls(config.system_prompt.strip(), config.thinking, held)

    @property
    def thinks(self) -> bool:
        """Whether the model is to think aloud where its template lets one choose."""
        return self.thinking == ON


@dataclass(frozen=True)
class Frame:
    """What stands around a user's message.

    Attributes:
        prefix: text before it.
        suffix: text after it, up to where the answer begins.
        beside: the template takes no system prompt, so that it stands in the prefix as the user's own words.
        cut: the mark that ends a thought in these answers, which is cut from them; empty where none is looked for.
    """

    prefix: str
    suffix: str
    beside: bool = False
    cut: str = ""


class Frames:
    """The frames that one model's template gives.

    Args:
        render: the chat template.
        thoughts: the marks around what the model thinks aloud; None where it does not.
        start: what stands before every prompt, see `start_of_text`.
    """

    def __init__(self, render: Render, thoughts: Thoughts | None = None, start: str = "") -> None:
        self._render, self._start = render, start
        self.thoughts = thoughts

    def of(self, chat: Chat) -> Frame:
        """The frame for calls such as `chat`.

        Raises:
            EngineStartError: see `split_template`.
            ConfigError: see `Thoughts.begin`.
        """
        # Templates ignore what they do not know: Qwen3's reads the first of these, DeepSeek's and Granite's the second.
        options = {"enable_thinking": chat.thinks, "thinking": chat.thinks, "strftime_now": one_day}
        prefix, suffix, beside = self._around(lambda messages: self._render(messages, options), chat.system)
        cut = ""
        if self.thoughts is not None:
            suffix = self.thoughts.begin(suffix, chat.thinking, chat.held)
            cut = "" if chat.held else self.thoughts.closing
        return Frame(self._start + prefix, suffix, beside, cut)

    def _around(self, render: Callable[[Messages], str], system: str) -> tuple[str, str, bool]:
        if not system:
            return *split_template(render), False
        if _takes_system(render):
            return *split_template(render, system), False
        return *split_template(render, before=f"{system}\n\n"), True


def own_renderer(tokenizer: Any, template: str) -> tuple[Render, str]:
    """transformers' own way to render `template` or, where that is empty, the tokenizer's; and the text of it.

    Raises:
        EngineStartError: there is no template.
    """
    text = template or default_template(getattr(tokenizer, "chat_template", None))
    if not text:
        raise EngineStartError("a chat template was expected, the model's tokenizer has none")

    def render(messages: Messages, options: Any) -> str:
        more = {"tokenize": False, "add_generation_prompt": True, **options}
        return str(tokenizer.apply_chat_template(messages, chat_template=text, **more))

    return render, text


def start_of_text(tokenizer: Any, template: str) -> str:
    """The tokens that a model's tokenizer puts before a text, where no template of the model does: for `PLAIN`.

    Args:
        tokenizer: a `tokenizers.Tokenizer`.
        template: the text of the template that is used.
    """
    if template != PLAIN:
        return ""
    bare, whole = (tokenizer.encode("a", add_special_tokens=special) for special in (False, True))
    before = next((i for i, bits in enumerate(whole.special_tokens_mask) if not bits), 0)
    return "".join(whole.tokens[:before]) if len(whole.ids) > len(bare.ids) else ""


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


def split_template(render: Callable[[Messages], str], system: str = "", before: str = "") -> tuple[str, str]:
    """What `render` (a chat template) puts before and after the content of one user message.

    >>> split_template(lambda messages: f"<user>{messages[0]['content']}<end><assistant>")
    ('<user>', '<end><assistant>')

    Args:
        render: the template.
        system: a system prompt that comes first; empty for none.
        before: what the user says first.

    Raises:
        EngineStartError: the template fails, or does not write the content exactly once.
    """
    failures = []
    # Templates of models that see pictures take a message in parts.
    for parts in (False, True):
        messages = [{"role": "system", "content": _content(system, parts)}] if system else []
        messages.append({"role": "user", "content": _content(before + _SENTINEL, parts)})
        try:
            text = render(messages)
        except Exception as error:  # whatever a template may raise
            failures.append(
                f"a chat template that takes one user message was expected, it failed: {type(error).__name__}: {error}"
            )
            continue
        if text.count(_SENTINEL) == 1 and not (parts and _shows_parts(text)):
            prefix, _, suffix = text.partition(_SENTINEL)
            return prefix, suffix
        failures.append(
            f"the chat template must write the user's message exactly once, it wrote it {text.count(_SENTINEL)} times"
        )
    raise EngineStartError(failures[0])


def _content(text: str, parts: bool) -> str | Sequence[dict[str, str]]:
    return [{"type": "text", "text": text}] if parts else text


def _shows_parts(text: str) -> bool:
    """Whether a template has written a list of parts as Python or JSON would."""
    before = text.partition(_SENTINEL)[0]
    return before.rpartition("text")[2][:4] in ("': '", '": "', '":"')


def _takes_system(render: Callable[[Messages], str]) -> bool:
    """Gemma's and the first of Mistral's raise an error, others leave it out without a word."""
    try:
        return any(_SYSTEM in part for part in split_template(render, _SYSTEM))
    except EngineStartError:
        return False
