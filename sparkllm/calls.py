"""LLMCall: what one `llm(...)` asks for. The Catalyst extension writes it as JSON, the Python worker reads it.

The named tasks live in tasks.json, which both sides read: this module and (as a resource of the jar) the Scala builder.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from sparkllm.answer_schema import ddl, words
from sparkllm.errors import CallError

__all__ = ["ORDERS", "PER_ROW", "LLMCall", "tasks"]

PER_ROW = "rows+fields"
ORDERS = ("fixed", "auto", PER_ROW)


@functools.cache
def tasks() -> dict[str, dict[str, Any]]:
    """The named tasks: name -> instruction, instruction for the user's own labels, default labels."""
    text = resources.files("sparkllm").joinpath("tasks.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@dataclass(frozen=True)
class LLMCall:
    """One call: a task or a prompt, the names of its fields, and how its answer is held.

    Attributes:
        task: a name of `tasks()`, or None when `prompt` is the user's own.
        prompt: the user's instruction, with `{field}` placeholders; None for a task.
        fields: field names in the order of the query; distinct.
        labels: the only answers allowed; empty for free text.
        model: path or id; None takes the session's.
        schema: the columns of a typed answer, as Spark's JSON of a STRUCT; None for plain text.
        order: one of `ORDERS`, see `LLMConfig.order`; None takes the session's.
        data_first: the data stands before the instruction; decided for all rows of a query, not part of the JSON.
        follows: another call of the query has asked about the same fields of the same rows.
    """

    task: str | None
    prompt: str | None
    fields: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    model: str | None = None
    schema: str | None = None
    order: str | None = None
    data_first: bool = False
    follows: bool = False

    @classmethod
    def from_json(cls, text: str) -> LLMCall:
        """Read what LLMSpec.scala wrote.

        Raises:
            CallError: neither a task nor a prompt, or both.
        """
        raw = json.loads(text)
        call = cls(
            task=raw.get("task"),
            prompt=raw.get("prompt"),
            fields=tuple(raw.get("fields", ())),
            labels=tuple(raw.get("labels") or ()),
            model=raw.get("model"),
            schema=raw.get("schema"),
            order=raw.get("order"),
            follows=bool((raw.get("data_first") or {}).get("follows")),
        )
        if (call.task is None) == (call.prompt is None):
            raise CallError(f"a call has either a task or a prompt, got {text}")
        return call

    def __str__(self) -> str:
        """As the user wrote it: `llm('classify', review)`."""
        named = [f"labels => array({', '.join(map(_quote, self.labels))})"] if self.labels else []
        named += [f"model => {_quote(self.model)}"] if self.model else []
        named += [f"schema => {_quote(ddl(self.schema))}"] if self.schema else []
        named += [f"order => {_quote(self.order)}"] if self.order else []
        return f"llm({', '.join([_quote(self.task or self.prompt or ''), *self.fields, *named])})"

    @property
    def instruction(self) -> str:
        """What the model is to do: the user's prompt, or the task's with its labels and the data's place filled in."""
        if self.task is None:
            return self.prompt or ""
        task = tasks()[self.task]
        key = "instruction" if self.choices == tuple(task["labels"]) else "instruction_for_labels"
        place = "above" if self.data_first else "below"
        return str(task[key]).replace("{place}", place).replace("{labels}", _enumerate(self.choices))

    @property
    def form(self) -> str:
        """What the model is told of the answer's form, after the instruction; empty for plain text."""
        return f"\n\nAnswer with one JSON object: {words(self.schema)}" if self.schema else ""

    @property
    def held(self) -> bool:
        """Whether the answer is held to a form from its first token on: one of some choices, or typed."""
        return bool(self.choices or self.schema)

    @property
    def choices(self) -> tuple[str, ...]:
        """The only answers allowed: the call's labels, else the task's; empty for free text."""
        if self.labels or self.task is None:
            return self.labels
        return tuple(tasks()[self.task]["labels"])


def _enumerate(labels: tuple[str, ...]) -> str:
    """`negative, neutral or positive`."""
    *head, last = labels
    return f"{', '.join(head)} or {last}" if head else last


def _quote(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"
