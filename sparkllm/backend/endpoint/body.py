"""The body of a request, and what servers take of it: each knows a part of OpenAI's fields, and says so with a 400."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from sparkllm.backend.engine import Sampling

__all__ = ["ANSWER", "Dialect", "body_of"]

ANSWER = "answer"  # the one field of the object that a label is asked for in
_NEW, _OLD = "max_completion_tokens", "max_tokens"
_THEIRS = ("openai.com", "openai.azure.com")  # whose newer models refuse the old name
_FORMAT = "response_format"
_DROPPED = ("temperature", "seed")  # what a model that chooses for itself refuses
_WRAPPER_TOKENS = 32  # of `{"answer": ""}`, in whatever pieces and with whatever spaces
_ABOUT_FORMAT = re.compile(r"response_format|json_schema|schema|structured|guided|grammar", re.IGNORECASE)
_ABOUT_LENGTH = re.compile(r"context.?length|context window|too (large|long|many)|exceed", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """What a server has turned out to take.

    Attributes:
        length: its name of the most output tokens.
        refused: fields, and answer forms as `response_format <schema>`, that it refuses.
        swapped: the other name of the length has been refused.
    """

    length: str
    refused: frozenset[str] = frozenset()
    swapped: bool = False

    @classmethod
    def of(cls, base_url: str) -> Dialect:
        """The one to begin with.

        Servers that do not know a field may leave it out without a word: the older name is known to all but OpenAI's.

        >>> Dialect.of("http://localhost:8000/v1").length, Dialect.of("https://api.openai.com/v1").length
        ('max_tokens', 'max_completion_tokens')
        """
        return cls(_NEW if (urlsplit(base_url).hostname or "").endswith(_THEIRS) else _OLD)

    def after(self, refusal: str, sampling: Sampling) -> Dialect | None:
        """The one to try next, after a 400 with this text; None where it is about the row."""
        if _ABOUT_LENGTH.search(refusal):
            return None
        if not self.swapped and re.search(rf"\b{self.length}\b", refusal):
            return replace(self, length=_OLD if self.length == _NEW else _NEW, swapped=True)
        for name in _DROPPED:
            if name not in self.refused and re.search(rf"\b{name}\b", refusal):
                return self._without(name)
        name = _format_name(sampling)
        if name and name not in self.refused and _ABOUT_FORMAT.search(refusal):
            return self._without(name)
        return None

    def joined(self, other: Dialect) -> Dialect:
        """What both have learned, `other` last."""
        return replace(other, refused=self.refused | other.refused)

    def words(self) -> str:
        """For the log.

        >>> Dialect("max_tokens", frozenset({"temperature", "response_format {}"})).words()
        'max_tokens; without response_format, temperature'
        """
        without = sorted({name.partition(" ")[0] for name in self.refused})
        return self.length + (f"; without {', '.join(without)}" if without else "")

    def _without(self, name: str) -> Dialect:
        return replace(self, refused=self.refused | {name})


def body_of(
    model: str, messages: list[dict[str, str]], sampling: Sampling, dialect: Dialect, options: dict[str, Any]
) -> dict[str, Any]:
    """The JSON of one request; `options` last, so that the user has the last word."""
    schema = _schema(sampling)
    room = sampling.max_tokens + (_WRAPPER_TOKENS if sampling.choices else 0)
    body: dict[str, Any] = {"model": model, "messages": messages, dialect.length: room}
    body |= {"temperature": sampling.temperature}
    body |= {"seed": sampling.seed} if sampling.seed is not None else {}
    if schema is not None:
        body[_FORMAT] = {"type": "json_schema", "json_schema": {"name": ANSWER, "strict": True, "schema": schema}}
    if _format_name(sampling) in dialect.refused:
        del body[_FORMAT]
    return {name: value for name, value in body.items() if name not in dialect.refused} | options


@functools.lru_cache(maxsize=64)
def _format_name(sampling: Sampling) -> str:
    schema = _schema(sampling)
    return f"{_FORMAT} {json.dumps(schema)}" if schema is not None else ""


@functools.lru_cache(maxsize=64)  # the same object for all rows of a call: nobody changes it
def _schema(sampling: Sampling) -> dict[str, Any] | None:
    if sampling.choices:
        label = {"type": "string", "enum": list(sampling.choices)}
        return {"type": "object", "properties": {ANSWER: label}, "required": [ANSWER], "additionalProperties": False}
    return _unbounded(json.loads(sampling.json_schema)) if sampling.json_schema else None


def _unbounded(schema: Any) -> Any:
    """Without the lengths of strings: OpenAI refuses them, and xgrammar forbids every escape in a bounded string."""
    if isinstance(schema, dict):
        bounded = schema.get("type") == "string"
        return {k: v if k == "enum" else _unbounded(v) for k, v in schema.items() if not (bounded and k == "maxLength")}
    return [_unbounded(one) for one in schema] if isinstance(schema, list) else schema
