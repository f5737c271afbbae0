"""A group's values as the model reads them: a JSON list, cut into parts that fit into the model's context.

Every item is JSON of its own, so what a value holds does not reach beyond it (prompt.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sparkllm.udf.prompt import key_text, value_text

__all__ = ["item_texts", "parts", "pieces", "shortened"]

Count = Callable[[list[str]], list[int]]

_SEPARATOR = 2  # tokens at most of a comma and a space between two items


def item_texts(group: str | None) -> list[str]:
    """The items of a group, which arrives as one JSON list, as prompts hold them.

    >>> item_texts('["good", {"product": "Kettle", "stars": 4}]')
    ['"good"', '{"product": "Kettle", "stars": "4"}']
    >>> item_texts('[1.10, {"product": null}, null]')  # digits as they came; nothing to read in the other two
    ['"1.10"']
    >>> item_texts(None), item_texts("[]")
    ([], [])
    """
    values = json.loads(group or "[]", parse_float=str)
    return [_item(value) for value in values if value is not None and not _is_empty(value)]


def _is_empty(value: Any) -> bool:
    return isinstance(value, dict) and all(one is None for one in value.values())


def _item(value: Any) -> str:
    if not isinstance(value, dict):
        return value_text(_plain(value))
    there = ((name, one) for name, one in value.items() if one is not None)
    return "{" + ", ".join(f"{key_text(name)} {value_text(_plain(one))}" for name, one in there) + "}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def pieces(items: Sequence[str], room: int, count: Count) -> tuple[list[str], list[int]]:
    """Items of at most `room` tokens, and their tokens: longer ones are cut, an object becomes texts.

    Args:
        items: as `item_texts` gives them.
        room: 16 tokens or more.
        count: tokens of each text.
    """
    found: list[str] = []
    sizes: list[int] = []
    for item, size in zip(items, count(list(items)), strict=True):
        if size <= room:
            found.append(item)
            sizes.append(size)
        else:
            more, their_sizes = pieces(_halves(item), room, count)
            found += more
            sizes += their_sizes
    return found, sizes


def shortened(items: Sequence[str], room: int, count: Count) -> list[str]:
    """The items, of longer ones their beginnings, so that two of them fit into `room` tokens together."""
    each = room // 2 - _SEPARATOR
    return [
        item if size <= each else pieces([item], each, count)[0][0]
        for item, size in zip(items, count(list(items)), strict=True)
    ]


def _halves(item: str) -> list[str]:
    """A text in two, between words where there is a space near the middle.

    >>> _halves('"one two three four"'), _halves('"abcd"')
    (['"one two"', '"three four"'], ['"ab"', '"cd"'])
    """
    value = json.loads(item)
    text = value if isinstance(value, str) else item
    middle = len(text) // 2
    space = text.rfind(" ", middle // 2, middle + 1)
    if space < 0:
        return [value_text(text[:middle]), value_text(text[middle:])]
    return [value_text(text[:space]), value_text(text[space + 1 :])]


def parts(items: Sequence[str], sizes: Sequence[int], room: int) -> list[str]:
    """JSON lists of neighbours, each of at most `room` tokens, as few as that allows.

    >>> parts(['"a"', '"b"', '"c"'], [3, 3, 3], 10)
    ['["a", "b"]', '["c"]']
    """
    found: list[list[str]] = []
    left = 0
    for item, size in zip(items, sizes, strict=True):
        if not found or size + _SEPARATOR > left:
            found.append([])
            left = room
        found[-1].append(item)
        left -= size + _SEPARATOR
    return [f"[{', '.join(some)}]" for some in found]
