"""LLMCall: what one `llm(...)` asks for. The Catalyst extension writes it as JSON, the Python worker reads it.

The named tasks live in tasks.json (tasks.py says how it reads). A call brings all that its worker needs: of a task of
the table its name and arguments, of a task of the user's own its whole prompt.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sparkllm.answer_schema import ddl, words
from sparkllm.errors import CallError
from sparkllm.tasks import Task, tasks

__all__ = ["AS_IT_COMES", "ONE_ORDER", "ON_ERROR", "ORDERS", "PER_ROW", "LLMCall"]

PER_ROW = "rows+fields"
ORDERS = ("fixed", "fields", "auto", PER_ROW, "rows", "off")
ONE_ORDER = ("fixed", "fields")  # two names for one field order that serves all rows
AS_IT_COMES = ("rows", "off")  # fields stand as the query has them
ON_ERROR = ("null", "fail", "struct")


@dataclass(frozen=True)
class LLMCall:
    """One call: a task or a prompt, the names of its fields, and how its answer is held.

    Attributes:
        task: a key of `tasks()`, or the name of a task of the user's own; None for a prompt.
        prompt: the user's instruction, with `{field}` placeholders; with a task of the table what stands for its
            {prompt}; None for a task that takes none.
        fields: field names in the order of the query; distinct.
        labels: the only answers allowed; empty for free text.
        model: path or id; None takes the session's.
        schema: the columns of a typed answer, as Spark's JSON of a STRUCT; None for plain text.
        order: one of `ORDERS`, see `LLMConfig.order`; None takes the session's.
        data_first: the data stands before the instruction; decided for all rows of a query, not part of the JSON.
        follows: another call of the query has asked about the same fields of the same rows.
        function: what the user called, `llm_translate`; None is `llm`.
        arguments: (name, value) of the constants that were given to the task, as they were given.
        max_tokens: most output tokens of an answer that is no label; None takes the session's.
        on_error: one of `ON_ERROR`; None does as the session's `fail_on_error` says.
        combining: the data are answers about parts of a group; decided by the worker, not part of the JSON.
        whole: a text that is cut at `max_tokens` is no answer. So for all but a prompt of the user's own.
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
    function: str | None = None
    arguments: tuple[tuple[str, Any], ...] = ()
    max_tokens: int | None = None
    on_error: str | None = None
    whole: bool = False
    combining: bool = False

    @classmethod
    def from_json(cls, text: str) -> LLMCall:
        """Read what LLMSpec.scala wrote.

        Raises:
            CallError: neither a task nor a prompt, or a task that is in no table without its prompt.
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
            function=raw.get("function"),
            arguments=tuple((name, _frozen(value)) for name, value in (raw.get("arguments") or {}).items()),
            max_tokens=raw.get("max_tokens"),
            on_error=raw.get("on_error"),
            whole=bool(raw.get("whole")),
        )
        if call.prompt is None and (call._task is None or call._task.first in ("prompt", "endpoint", "group")):
            raise CallError(f"a call has a task of the table or a prompt, got {text}")
        return call

    def to_json(self) -> str:
        """What LLMSpec.scala writes for the same call, and `from_json` reads."""
        out: dict[str, Any] = {"task": self.task, "prompt": self.prompt, "fields": self.fields, "labels": self.labels}
        out |= {"model": self.model, "schema": self.schema}
        given: dict[str, Any] = {"order": self.order, "function": self.function, "arguments": dict(self.arguments)}
        given |= {"max_tokens": self.max_tokens, "on_error": self.on_error, "whole": self.whole}
        given["data_first"] = {"follows": True} if self.follows else None
        return json.dumps(out | {name: value for name, value in given.items() if value}, ensure_ascii=False)

    def __str__(self) -> str:
        """As the user wrote it: `llm('classify', review)`, `llm_translate(review, 'French')`."""
        return f"{self.function or 'llm'}({', '.join([*self._positional(), *self._named()])})"

    def _positional(self) -> list[str]:
        if self.function is None:
            return [_quote(self.task or self.prompt or ""), *self.fields]
        first = self._task.first if self._task else "fields"
        if first == "endpoint":
            return [_quote(self.model or "default"), _quote(self.prompt or "")]
        if first in ("prompt", "group"):
            return [_quote(self.prompt or ""), *self.fields]
        data = self.fields if first != "x" or len(self.fields) == 1 else (f"struct({', '.join(self.fields)})",)
        return [*data, *(_constant(value) for _, value in self.arguments)]

    def _named(self) -> list[str]:
        own = self.function is None
        told = own and (self.task is None or self._task is not None)  # else they are the task's own
        named = [f"labels => {_constant(self.labels)}"] if self.labels and told else []
        endpoint = not own and self._task is not None and self._task.first == "endpoint"
        named += [f"{name} => {_constant(value)}" for name, value in self.arguments if own or endpoint]
        named += [f"model => {_quote(self.model)}"] if self.model and not endpoint else []
        named += [f"schema => {_quote(ddl(self.schema))}"] if self.schema and told and self.task is None else []
        options = {"order": self.order, "max_tokens": self.max_tokens, "on_error": self.on_error}
        return named + [f"{name} => {_constant(value)}" for name, value in options.items() if value]

    @property
    def _task(self) -> Task | None:
        """The table's; None for a prompt, or a task of the user's own."""
        return tasks().get(self.task) if self.task else None

    @property
    def group(self) -> bool:
        """Whether its one field holds a group's values, as a JSON list (udf/reduction.py)."""
        return self._task is not None and bool(self._task.combine)

    @property
    def instruction(self) -> str:
        """What the model is to do: the user's prompt, or the task's with its arguments and the data's place."""
        if self._task is None:
            return self.prompt or ""
        values = {"labels": self.labels} if self.labels else {}
        place = "above" if self.data_first else "below"
        return self._task.instruct(values | dict(self.arguments), place, self.prompt or "", self.combining)

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
        return self.labels or (self._task.labels if self._task else ())


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _constant(value: Any) -> str:
    if isinstance(value, tuple):
        return f"array({', '.join(map(_quote, value))})"
    return _quote(value) if isinstance(value, str) else str(value)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"
