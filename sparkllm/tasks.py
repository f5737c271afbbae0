"""The named tasks: tasks.json, read by this module and (as a resource of the jar) by Tasks.scala, and the user's own.

One entry is one SQL function: `translate` is `llm_translate`, a name that begins with `ai_` is itself. In an entry:

    as            another entry, whose keys stand where this one has none
    first         what the positional arguments begin with: "x" (the default), one column or `struct(a, b)`; "pair", two
                  columns; "prompt", the user's prompt and any number of fields; "endpoint", a model's name and a
                  prompt; of aggregates "group", the user's prompt and what is collected, or "texts", what is collected
    arguments     what follows, [{"name", "type", "default"}]; one without a default must be given. All are constants:
                  STRING, INT (0 or more), LABELS (two or more different texts), NAMES (one or more different texts),
                  SCHEMA (columns as in CREATE TABLE, or an array of names, which are STRINGs then)
    instruction   what the model is told. {place} is "below" or "above", where the data stands; {prompt} the user's
                  prompt, {lang} the argument of that name; lists are written "a, b or c"
    combine       of an aggregate: what the model is told where the data are answers about parts of a group
    instead       [{"where": {argument: value}, "instruction", "combine"}]: the first one that holds is told instead
    template      false: braces in a prompt are plain text. Else {name} stands for that field, as in `llm()`
    output        STRING; BOOLEAN (held by the labels true and false); LABELS or SCHEMA, as the argument of that type
                  says; a list of labels; or the type of a column, "DOUBLE NOT NULL" (held as `{"answer": 0.5}`)
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

__all__ = ["BOOLEANS", "FIRST", "Argument", "Task", "plain", "tasks"]

BOOLEANS = ("true", "false")
FIRST = ("x", "pair", "prompt", "endpoint", "fields", "group", "texts")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_FIELD = re.compile(r"\{([^\W\d]\w*(?:\.[^\W\d]\w*)*)\}")


@dataclass(frozen=True)
class Argument:
    """A constant that a task takes behind its data; `default` is None where it must be given."""

    name: str
    type: str
    default: Any = None


@dataclass(frozen=True)
class Task:
    """One entry of the table, or a task of the user's own.

    Attributes:
        name: its key.
        instruction: what the model is told, with placeholders.
        output: STRING, BOOLEAN, LABELS, SCHEMA, the type of a column, or the labels themselves.
        first: what its positional arguments begin with; see above. "fields", any number, for a task of the user's own.
        arguments: the constants behind them.
        instead: (arguments, (instruction, combine)) pairs that stand in place of these two where they hold.
        template: `{name}` in a prompt stands for that field.
        combine: of an aggregate, the instruction over answers about parts of a group; else empty.
    """

    name: str
    instruction: str
    output: str | tuple[str, ...]
    first: str = "x"
    arguments: tuple[Argument, ...] = ()
    instead: tuple[tuple[tuple[tuple[str, Any], ...], tuple[str, str]], ...] = ()
    template: bool = True
    combine: str = ""

    @property
    def function(self) -> str:
        """The SQL function.

        >>> tasks()["translate"].function, tasks()["ai_translate"].function
        ('llm_translate', 'ai_translate')
        """
        return self.name if self.name.startswith("ai_") else f"llm_{self.name}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The only answers there are where a call names none; empty for anything else than labels."""
        if self.output == "BOOLEAN":
            return BOOLEANS
        if not isinstance(self.output, str):
            return self.output
        given = [a.default for a in self.arguments if a.type == "LABELS" and self.output == "LABELS"]
        return tuple(given[0] or ()) if given else ()

    def instruct(self, values: Mapping[str, Any], place: str, prompt: str = "", combining: bool = False) -> str:
        """What the model is told.

        Args:
            values: arguments by name; those that are missing have their defaults.
            place: where the data stands, "below" or "above".
            prompt: the user's own.
            combining: of an aggregate, over answers about parts of a group.

        >>> tasks()["translate"].instruct({"lang": "French"}, "below")
        'Translate the text of the data below into French. Answer with the translation alone.'
        >>> tasks()["classify"].instruct({"labels": ("spam", "ham")}, "above")
        'Classify the data above as spam or ham.'
        """
        known = {a.name: _frozen(values.get(a.name, a.default)) for a in self.arguments}
        held = (texts for where, texts in self.instead if all(known.get(name) == value for name, value in where))
        told = next(held, (self.instruction, self.combine))[combining]
        texts = {name: plain(_written(value)) for name, value in known.items()} | {"place": place, "prompt": prompt}
        texts.setdefault("labels", _written(self.labels))
        return _PLACEHOLDER.sub(lambda m: texts.get(m[1], m[0]), told)


@functools.cache
def tasks() -> dict[str, Task]:
    """The table, by key."""
    raw = json.loads(resources.files("sparkllm").joinpath("tasks.json").read_text(encoding="utf-8"))
    return {name: _task(name, raw.get(entry.get("as"), {}) | entry) for name, entry in raw.items()}


def plain(text: str) -> str:
    """A text in which no `{name}` stands for a field.

    >>> plain('{name} {"a": 1}')
    '{{name}} {"a": 1}'
    """
    return _FIELD.sub(r"{{\1}}", text)


def _task(name: str, entry: Mapping[str, Any]) -> Task:
    return Task(
        name=name,
        instruction=entry["instruction"],
        output=_frozen(entry["output"]),
        first=entry.get("first", "x"),
        arguments=tuple(Argument(a["name"], a["type"], _frozen(a.get("default"))) for a in entry.get("arguments", ())),
        instead=tuple(
            (tuple((k, _frozen(v)) for k, v in one["where"].items()), (one["instruction"], one.get("combine", "")))
            for one in entry.get("instead", ())
        ),
        template=entry.get("template", True),
        combine=entry.get("combine", ""),
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _written(value: Any) -> str:
    """`negative, neutral or positive`."""
    if not isinstance(value, tuple):
        return str(value)
    *head, last = value or ("",)
    return f"{', '.join(head)} or {last}" if head else last
