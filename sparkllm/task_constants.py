"""The constants that tasks take: what is right, and what is said of what is not."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from sparkllm.errors import CallError

__all__ = ["constant_of", "found", "nearest", "text_of"]


def constant_of(function: str, name: str, kind: str, value: Any) -> Any:
    """A value as the type of argument `kind` (tasks.py) has it; lists become tuples.

    >>> constant_of("llm_classify", "labels", "LABELS", ["spam", "ham"])
    ('spam', 'ham')

    Raises:
        CallError: it is of another type.
    """
    if kind == "STRING":
        return text_of(function, name, value)
    if kind == "INT":
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise CallError(f"{function}() expects {name} to be a constant INT of 0 or more, got {found(value)}")
        return value
    if kind == "SCHEMA" and not isinstance(value, (list, tuple)):
        return text_of(function, name, value)
    if kind == "LABELS":
        return _texts(function, name, value, 2, "array('yes', 'no')")
    return _texts(function, name, value, 1, "array('name', 'email')")


def text_of(function: str, name: str, value: Any) -> str:
    """A text that is not empty.

    Raises:
        CallError: it is none.
    """
    if not isinstance(value, str):
        raise CallError(f"{function}() expects {name} to be a constant STRING, got {found(value)}")
    if not value.strip():
        raise CallError(f"{function}() expects {name} to hold text, got an empty STRING")
    return value


def found(value: Any) -> str:
    """What an argument is, as SQL has it.

    >>> found(None), found(True), found(["it's", 5])
    ('NULL', 'true', "array('it\\\\'s', 5)")
    """
    if value is None or isinstance(value, bool):
        return "NULL" if value is None else str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, (list, tuple)):
        return f"array({', '.join(map(found, value))})"
    if isinstance(value, Mapping):
        return f"named_struct({', '.join(f'{found(k)}, {found(v)}' for k, v in value.items())})"
    return str(value)


def nearest(name: str, known: Sequence[str], more: str = "") -> str:
    """`; did you mean 'classify'?`, or all of them, and another sentence behind it.

    >>> nearest("maxtokens", ["max_tokens", "model"]), nearest("x", ["max_tokens", "model"], "That is all.")
    ("; did you mean 'max_tokens'?", '; known: max_tokens, model. That is all.')
    """
    close = difflib.get_close_matches(name, known, n=1)
    told = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
    return f"{told}{'' if close else '.'} {more}" if more else told


def _texts(function: str, name: str, value: Any, least: int, example: str) -> tuple[str, ...]:
    def wrong(instead: object) -> CallError:
        return CallError(
            f"{function}() expects {name} to be a constant array of at least {least} different, non-empty strings, got "
            f"{instead}; write {example}"
        )

    if not isinstance(value, (list, tuple)):
        raise wrong(found(value))
    if not all(isinstance(text, str) and text.strip() for text in value):
        raise wrong("one that is NULL, empty or no string")
    if len(set(value)) < len(value):
        raise wrong("one twice")
    if len(value) < least:
        raise wrong(len(value))
    return tuple(value)
