"""Tasks of the user's own: `register_task("mood", "How does the writer feel?", ["happy", "sad"])`.

They are kept in the driver's process, for all sessions that it has. A call of one travels as its prompt, labels and
schema, so a worker need not know it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparkllm.answer_ddl import answer_schema
from sparkllm.errors import CallError
from sparkllm.tasks import BOOLEANS, Task, tasks

__all__ = ["OwnTask", "define", "held", "known_tasks", "own_tasks"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("agg", "summarize_agg", "eval")
_OWN: dict[str, OwnTask] = {}


@dataclass(frozen=True)
class OwnTask:
    """What `register_task` was given.

    Attributes:
        name: as in `llm('mood', x)` and `llm_mood(x)`.
        prompt: the instruction, with `{field}` placeholders.
        labels: the only answers; true and false for a BOOLEAN; empty for anything else.
        schema: Spark's JSON of the columns of an answer; None for a text and for labels.
        reading: how the answer's text becomes the value, see `TypedCall.reading`.
    """

    name: str
    prompt: str
    labels: tuple[str, ...] = ()
    schema: str | None = None
    reading: str = "text"

    @property
    def task(self) -> Task:
        """As an entry of the table."""
        return Task(self.name, self.prompt, self.labels or "SCHEMA", first="fields")

    def to_json(self) -> str:
        """What Tasks.scala reads."""
        kept = {"name": self.name, "prompt": self.prompt, "labels": self.labels, "schema": self.schema}
        return json.dumps(kept | {"reading": self.reading})


def own_tasks() -> dict[str, OwnTask]:
    """Those of this process, by name."""
    return dict(_OWN)


def known_tasks() -> dict[str, Task]:
    """Name in `llm('name', x)` -> task: of the table those that are no other platform's, and the user's own."""
    table = {name: task for name, task in tasks().items() if not name.startswith("ai_")}
    return table | {name: own.task for name, own in _OWN.items()}


def define(
    name: str, prompt: str, output: str | Sequence[str], tell: Callable[[OwnTask], None] = lambda _: None
) -> OwnTask:
    """Check a task and keep it; the same one again is fine.

    Args:
        name, prompt, output: as in `register_task`.
        tell: called before it is kept; what it raises, it is not.

    Raises:
        CallError: a name that cannot be or is taken, an empty prompt, or an output that no answer can have.
    """
    own = _own_task(name, prompt, output)
    if _OWN.get(own.name) not in (None, own):
        raise CallError(f"the task {name!r} is registered with another prompt or output; give this one another name")
    tell(own)
    _OWN[own.name] = own
    return own


def _own_task(name: str, prompt: str, output: str | Sequence[str]) -> OwnTask:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CallError(f"a task's name is small letters, digits and _, beginning with a letter, got {name!r}")
    if name in (*tasks(), *_RESERVED) or name.startswith("ai_"):
        raise CallError(f"the name {name!r} belongs to sparkllm itself; give your task another")
    if not isinstance(prompt, str) or not prompt.strip():
        raise CallError(f"the prompt of the task {name!r} is a text that says what to do, got {prompt!r}")
    if not isinstance(output, str):
        return OwnTask(name, prompt, _labels(name, output), None, "text")
    try:
        return OwnTask(name, prompt, *held(output))
    except CallError as error:
        raise CallError(
            f"the output of the task {name!r} is STRING, BOOLEAN, another type, columns ('a STRING, b INT') or a list "
            f"of labels, got {output!r}: {error}"
        ) from None


def held(output: str) -> tuple[tuple[str, ...], str | None, str]:
    """(labels, schema, reading) of answers of a type: STRING, BOOLEAN, another type, or columns.

    >>> held("boolean"), held("STRING")
    ((('true', 'false'), None, 'boolean'), ((), None, 'text'))

    Raises:
        CallError: no answer can have it.
    """
    if output.strip().upper() == "STRING":
        return (), None, "text"
    if output.strip().upper() == "BOOLEAN":
        return BOOLEANS, None, "boolean"
    schema, alone = answer_schema(output)
    return (), schema, "answer" if alone else "columns"


def _labels(name: str, output: Sequence[str]) -> tuple[str, ...]:
    labels = tuple(output) if isinstance(output, (list, tuple)) else ()
    texts = all(isinstance(label, str) and label.strip() for label in labels)
    if len(labels) < 2 or not texts or len(set(labels)) < len(labels):
        raise CallError(
            f"the labels of the task {name!r} are two or more different texts that are not empty, got {output!r}"
        )
    return labels
