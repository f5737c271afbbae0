"""From a server's JSON to an answer: the text out of its wrapping, its tokens, or why there is no value."""

from __future__ import annotations

import json
from typing import Any

from sparkllm.backend.answer_text import why_no_value
from sparkllm.backend.endpoint.body import ANSWER
from sparkllm.backend.engine import Answer, Sampling
from sparkllm.backend.thoughts import THINK, Cut

__all__ = ["is_completion", "read_answer", "refusal_words"]

_ENDS = ("stop", "length", "eos", "eos_token", "end_turn", "", None)  # what servers say of an answer that is there
_MOST_WORDS = 300
_WINDOW = 16  # characters in a row that a message may share with a prompt by chance


def is_completion(data: Any) -> bool:
    """Whether this is a chat completion with a message."""
    try:
        return isinstance(data["choices"][0]["message"], dict)
    except (KeyError, IndexError, TypeError):
        return False


def read_answer(data: dict[str, Any], sampling: Sampling, prompt_tokens: int, output_tokens: int) -> Answer:
    """One answer.

    Args:
        data: a completion.
        sampling: what was asked for.
        prompt_tokens, output_tokens: our own counts, for a server that does not say.
    """
    choice = data["choices"][0]
    message, end = choice["message"], choice.get("finish_reason")
    usage = _object(data.get("usage"))
    cached = _number(_object(usage.get("prompt_tokens_details")).get("cached_tokens"), 0)
    tokens = _number(usage.get("completion_tokens"), output_tokens)
    counts = (_number(usage.get("prompt_tokens"), prompt_tokens), cached, tokens)
    if message.get("refusal"):
        return Answer(None, "the model refuses to answer this", *counts)
    if end not in _ENDS:
        return Answer(None, f"the server ended the request: {str(end)[:40]}", *counts)
    answer = _without_thought(str(message.get("content") or ""), _has_thought(message, usage))
    value = _value(answer.text, sampling)
    wrong = why_no_value(answer._replace(text=value), end == "length", tokens, sampling)
    if wrong is None and sampling.json_schema and not isinstance(_loaded(value), dict):
        wrong = "the answer is no JSON object", False
    return Answer(None, wrong[0], *counts, truncated=wrong[1]) if wrong else Answer(value, None, *counts)


def refusal_words(data: Any, messages: list[dict[str, str]], key: str) -> str:
    """What a server says of a request it refuses, without what may be a row's or the key.

    Args:
        data: its JSON, or whatever it sent.
        messages: of the request: words that quote them are left out, as errors reach logs.
        key: the API key.
    """
    error = _object(data).get("error", data)
    words = str(error.get("message") or error.get("detail") or "") if isinstance(error, dict) else str(error or "")
    code = next((c for c in map(_object(error).get, ("code", "type")) if isinstance(c, str) and c), "")[:60]
    sent = "\n".join(message["content"] for message in messages)
    words = words.replace(key, "***") if key else words
    windows = (words[i : i + _WINDOW] for i in range(max(1, len(words) - _WINDOW + 1)))
    if len(words) >= _WINDOW and any(window in sent for window in windows):
        words = "its words quote the row, so they are left out"
    return ": ".join(filter(None, (code, words[:_MOST_WORDS]))) or "no reason"


def _has_thought(message: dict[str, Any], usage: dict[str, Any]) -> bool:
    details = _object(usage.get("completion_tokens_details"))
    return bool(message.get("reasoning_content") or message.get("reasoning") or details.get("reasoning_tokens"))


def _without_thought(text: str, thought: bool) -> Cut:
    """A server without a parser for it leaves a thought in front of the answer."""
    opening, closing = THINK
    if not text.lstrip().startswith(opening):
        return Cut(text, thought, open=False)
    _, ended, after = text.partition(closing)
    return Cut(after.lstrip(), thought=True, open=not ended)


def _value(text: str, sampling: Sampling) -> str:
    """Out of what it comes in: a label's object, or the fence around JSON that a model writes unasked."""
    if not sampling.choices and not sampling.json_schema:
        return text
    inner = text.strip()
    if inner.startswith("```") and inner.endswith("```"):
        inner = inner.strip("`").removeprefix("json").strip()
    return _label(inner, sampling.choices) if sampling.choices else inner


def _label(text: str, choices: tuple[str, ...]) -> str:
    """Plain text is one of the labels but for quotes, a full stop and capitals; where two differ in those, as it is."""
    found = _loaded(text)
    if isinstance(found, dict):
        return str(found.get(ANSWER, ""))
    if text in choices:
        return text
    bare = text.strip(" \n\t\"'`.*").casefold()
    alike = [choice for choice in choices if choice.casefold() == bare]
    return alike[0] if len(alike) == 1 else text


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise
