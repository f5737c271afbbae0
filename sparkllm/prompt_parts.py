"""What a call reads of a row, and a prompt that is made of texts and columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparkllm.task_constants import text_of
from sparkllm.tasks import plain

__all__ = ["Column", "Concat", "Struct", "named_fields", "placeholders", "prompt_of", "with_implied"]

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PLACEHOLDER = re.compile(rf"\{{\{{{_NAME}\}}\}}|\{{({_NAME})\}}")


@dataclass(frozen=True)
class Column:
    """What a call reads of a row.

    Attributes:
        name: what the model is told; "" where it is named by its place.
        source: whatever the caller keeps with it.
        text: as the user wrote it, for errors.
    """

    name: str
    source: Any = None
    text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return self.text or self.name


@dataclass(frozen=True)
class Struct:
    """`struct(title, body)`: several columns in place of one."""

    columns: tuple[Column, ...]

    def __str__(self) -> str:
        return f"struct({', '.join(map(str, self.columns))})"


@dataclass(frozen=True)
class Concat:
    """A prompt made of texts and columns: `'Is ' || title || ' good?'`. In place of a field it is one, its `source`."""

    parts: tuple[str | Column, ...]
    source: Any = None
    text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return self.text


def prompt_of(function: str, value: Any, template: bool = True) -> tuple[str, tuple[Column, ...]]:
    """(the prompt with placeholders, the columns that it is made of).

    Prompts of one form share their beginning so, and a value cannot end its place. A column that is the whole prompt
    is its only field.

    >>> prompt_of("llm_gen", Concat(("Is ", Column("title"), " good?")))
    ('Is {title} good?', (Column(name='title', source=None),))

    Args:
        function: for errors.
        value: a constant, a `Column` or a `Concat`.
        template: braces in a constant stand for fields; in the texts of a `Concat` they never do.

    Raises:
        CallError: a constant that is no text.
    """
    parts = value.parts if isinstance(value, Concat) else (value,)
    if not isinstance(value, (Column, Concat)):
        text = text_of(function, "its prompt", value)
        return (text if template else plain(text)), ()
    columns: list[Column] = []
    for part in parts:
        if isinstance(part, Column) and part not in columns:
            columns.append(part)
    names = named_fields(Column(c.name if _fits(c.name) else f"col{i}", c) for i, c in enumerate(columns, 1))
    texts = (plain(p) if isinstance(p, str) else f"{{{names[columns.index(p)].name}}}" for p in parts)
    return "".join(texts), tuple(Column(name.name, name.source.source) for name in names)


def placeholders(prompt: str) -> list[str]:
    """Names in braces, each once.

    >>> placeholders("Is {a} {{big}} beside {b.c}, {a}?")
    ['a', 'b.c']
    """
    return list(dict.fromkeys(m[1] for m in _PLACEHOLDER.finditer(prompt) if m[1]))


def with_implied(prompt: str, fields: tuple[Column, ...]) -> tuple[tuple[Column, ...], int]:
    """(the fields, and behind them those that only the prompt names; how many those are)."""
    missing = [name for name in placeholders(prompt) if name not in [f.name for f in fields]]
    return (*fields, *map(Column, missing)), len(missing)


def named_fields(arguments: Iterable[Any]) -> tuple[Column, ...]:
    """The columns under different names, as FieldNames.scala gives them.

    >>> [c.name for c in named_fields([Column("a"), Struct((Column("a"), Column("b"))), 5])]
    ['a', 'a_2', 'b', 'col4']
    """
    flat: list[Column] = []
    for argument in arguments:
        found: Sequence[Any] = argument.columns if isinstance(argument, Struct) else (argument,)
        for one in found:
            source = one.source if isinstance(one, (Column, Concat)) else one
            named = isinstance(one, Column) and one.name
            flat.append(one if named else Column(f"col{len(flat) + 1}", source))
    every, taken, out = {c.name for c in flat}, set[str](), []
    for column in flat:
        others = (f"{column.name}_{i}" for i in range(2, len(flat) + 2))
        fresh = column.name if column.name not in taken else next(n for n in others if n not in taken | every)
        taken.add(fresh)
        out.append(Column(fresh, column.source))
    return tuple(out)


def _fits(name: str) -> bool:
    return re.fullmatch(_NAME, name) is not None
