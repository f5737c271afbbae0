"""On which line of a TOML file a value stands: tomllib does not tell."""

from __future__ import annotations

import re

__all__ = ["line_of"]

_PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")


def line_of(text: str, path: tuple[str | int, ...]) -> int:
    """The line (from 1) of the key or table at `path`, or of the nearest one around it that has a line of its own.

    Text inside multi-line strings may be taken for keys; the line is for a message.

    Args:
        path: keys, and for an array of tables the place of the table in it, from 0.

    >>> text = "[gpu.L4]\\nprice = { usd_per_hour = -1 }\\n\\n[[measured]]\\n[[measured]]\\ngpu = 'L5'"
    >>> line_of(text, ("gpu", "L4", "price", "usd_per_hour")), line_of(text, ("measured", 1, "gpu"))
    (2, 6)
    """
    best, longest = 1, 0
    table: tuple[str | int, ...] = ()
    tables: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        here = table
        if header := _HEADER.match(line):
            here = table = _table(_parts(header[2]), header[1] == "[[", tables)
        elif key := _KEY.match(line):
            here = (*table, *_parts(key[1]))
        else:
            continue
        if len(here) > longest and here == path[: len(here)]:
            best, longest = number, len(here)
    return best


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


def _table(name: tuple[str, ...], of_array: bool, tables: dict[tuple[str, ...], int]) -> tuple[str | int, ...]:
    if not of_array:
        return name
    tables[name] = tables.get(name, -1) + 1
    return (*name, tables[name])
