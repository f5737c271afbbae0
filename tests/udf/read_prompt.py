"""A reader of prompts: the fields of a row, from the text of its prompt and the call that its author wrote."""

from __future__ import annotations

import json
import re
from typing import Any

from sparkllm.calls import LLMCall

__all__ = ["read_prompt"]


def read_prompt(call: LLMCall, text: str) -> dict[str, str]:
    """Field -> value, without those that are null.

    Raises:
        ValueError: the text is not exactly one prompt of this call.
    """
    if call.data_first and text.startswith("{"):
        data, end = _json(text, 0)
        fields, at = _instruction(call, text, _after(text, end, "\n\n"))
    else:
        fields, at = _instruction(call, text, 0)
        data = {}
        if at < len(text):
            data, at = _json(text, _after(text, at, "\n\n"))
    if at != len(text):
        raise ValueError(f"more text than a prompt has: {text[at:]!r}")
    if fields.keys() & data.keys():
        raise ValueError("a field of the instruction stands in the data")
    return {name: value for name, value in (fields | data).items() if value is not None}


def _instruction(call: LLMCall, text: str, at: int) -> tuple[dict[str, Any], int]:
    fields: dict[str, Any] = {}
    for part in re.split(r"(\{[a-z]\})", call.instruction):
        if part[1:-1] not in call.fields or not part.startswith("{"):
            at = _after(text, at, part)
            continue
        name = part[1:-1]
        value, at = _json(text, at)
        if fields.setdefault(name, value) != value:
            raise ValueError(f"two values for {name}")
    return fields, at


def _after(text: str, at: int, literal: str) -> int:
    if not text.startswith(literal, at):
        raise ValueError(f"expected {literal!r}, found {text[at : at + 80]!r}")
    return at + len(literal)


def _json(text: str, at: int) -> tuple[Any, int]:
    return json.JSONDecoder(object_pairs_hook=_each_once).raw_decode(text, at)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError(f"a field stands there twice: {pairs}")
    return fields
