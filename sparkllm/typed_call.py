"""A function's name and its arguments -> the call that it makes, where no Catalyst extension is there to do it.

    typed_call("llm_translate", [Column("review"), "French"]) -> LLMCall("translate", ...), read as text

The same calls as the extension makes (TaskFunction.scala), to the letter, so that they share answers and reports.
Nothing here knows SQL or Spark: an argument is a constant (str, int, float, bool, None, a list or tuple of str, or a
dict for `named_struct`), a `Column`, a `Struct` of columns, or a `Concat` of texts and columns, which any other
expression is: its parts are what it is as a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkllm.answer_ddl import answer_schema, parse_ddl
from sparkllm.answer_schema import ddl
from sparkllm.call_options import CallOptions
from sparkllm.calls import LLMCall
from sparkllm.errors import CallError
from sparkllm.own_tasks import known_tasks, own_tasks
from sparkllm.prompt_parts import Column, Concat, Struct, named_fields, prompt_of, with_implied
from sparkllm.task_constants import constant_of, found, nearest, text_of
from sparkllm.tasks import Task, tasks

__all__ = ["Column", "Concat", "Struct", "TypedCall", "function_names", "typed_call"]

_ONE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class TypedCall:
    """A call, and how its answers become values.

    Attributes:
        call: what the worker is asked, fields by their names.
        columns: one for each of `call.fields`.
        implied: how many of the last ones come from `{name}` in the prompt: columns of the query by that name.
        reading: how the answer's text becomes the value: "text" as it is; "boolean", `text = 'true'`; "answer", the
            column `answer` of its JSON; "columns", its JSON as a STRUCT.
        type: SQL type of the value.
        needed: columns that the prompt is made of: where one is NULL, the prompt is, and so is the answer.
        selectivity: the user's hint, or None.
        error_names: the columns of `on_error => 'struct'`: the value's and the error's.
    """

    call: LLMCall
    columns: tuple[Column, ...]
    implied: int
    reading: str
    type: str
    needed: tuple[Column, ...] = ()
    selectivity: float | None = None
    error_names: tuple[str, str] = ("value", "error")


def function_names() -> tuple[str, ...]:
    """All functions that `typed_call` knows: llm, llm_translate, ..., the user's own, ai_translate, ..."""
    return ("llm", *(task.function for task in (*tasks().values(), *(own.task for own in own_tasks().values()))))


def typed_call(function: str, arguments: Sequence[Any], options: Mapping[str, Any] | None = None) -> TypedCall:
    """The call of `function(*arguments, name => option, ...)`.

    >>> made = typed_call("llm_translate", [Column("review"), "French"])
    >>> str(made.call), made.call.instruction, made.type
    ("llm_translate(review, 'French')", 'Translate the text of the data below into French. Answer with the translation alone.', 'STRING')

    Raises:
        CallError: no such function, or arguments that it does not take.
    """  # noqa: E501
    name, named = function.lower(), {key.lower(): value for key, value in (options or {}).items()}
    if name == "llm":
        return _llm(arguments, named)
    found = {task.function: task for task in (*tasks().values(), *(own.task for own in own_tasks().values()))}
    if name not in found:
        raise CallError(f"there is no function {function}(){nearest(name, function_names())}")
    if found[name].first == "endpoint":
        from sparkllm.ai_query import ai_query  # it is made of this module's functions

        return ai_query(arguments, named)
    return _Builder(found[name], name).build(arguments, named)


def _llm(arguments: Sequence[Any], named: dict[str, Any]) -> TypedCall:
    """`llm(prompt or task, field, ...)`."""
    if not arguments:
        raise CallError("llm() expects a prompt or a task name first, got nothing; write llm('classify', review)")
    first = text_of("llm", "its first argument, a prompt or a task name,", arguments[0])
    if _ONE_WORD.fullmatch(first.strip()):
        return _llm_task(first.strip(), arguments[1:], named)
    fields, implied = with_implied(first, named_fields(arguments[1:]))
    if named.get("labels") is not None and named.get("schema") is not None:
        raise CallError("llm() takes labels or schema, got both: labels give one STRING, a schema gives a STRUCT")
    labels = constant_of("llm", "labels", "LABELS", named.pop("labels")) if "labels" in named else ()
    schema = parse_ddl(text_of("llm", "schema", named.pop("schema"))) if "schema" in named else None
    kept = CallOptions.of("llm", named, ("labels", "schema"))
    call = kept.into(LLMCall(None, first, tuple(f.name for f in fields), labels, schema=schema))
    reading, kind = ("columns", f"STRUCT<{_of_columns(schema)}>") if schema else ("text", "STRING")
    return TypedCall(call, fields, implied, reading, kind, selectivity=kept.selectivity)


def _llm_task(name: str, fields: Sequence[Any], named: dict[str, Any]) -> TypedCall:
    task = known_tasks().get(name)
    if task is None:
        near = nearest(name, list(known_tasks()), "A prompt of your own has more than one word.")
        raise CallError(f"llm() knows no task {name!r}{near}")
    if task.first == "prompt":
        raise CallError(f"the task {name!r} takes a prompt: write {task.function}('...', review)")
    if not fields:
        raise CallError(f"llm({name!r}) expects at least one field, got none; write llm({name!r}, review)")
    return _Builder(task, None).build([Struct(named_fields(fields))] if task.first == "x" else fields, named)


@dataclass(frozen=True)
class _Builder:
    """Makes the calls of one task; `function` is None for `llm('task', ...)`."""

    task: Task
    function: str | None

    @property
    def _called(self) -> str:
        return self.function or "llm"

    def build(self, arguments: Sequence[Any], named: dict[str, Any]) -> TypedCall:
        prompt, fields, needed, implied, rest = self._first(list(arguments))
        given = self._given(rest, named)
        kept = CallOptions.of(self._called, named, [a.name for a in self.task.arguments])
        labels, schema, reading = self._held(given)
        held = [a.name for a in self.task.arguments if a.type == "LABELS"]  # these travel in `labels`
        call = LLMCall(
            task=self.task.name,
            prompt=prompt,
            fields=tuple(f.name for f in fields),
            labels=labels,
            schema=schema,
            function=self.function,
            arguments=tuple((n, v) for n, v in given.items() if self.function or n not in held),
            whole=not (labels or schema),
        )
        return TypedCall(
            kept.into(call), fields, implied, reading, value_type(reading, schema), needed, kept.selectivity
        )

    def _first(self, arguments: list[Any]) -> tuple[str | None, tuple[Column, ...], tuple[Column, ...], int, list[Any]]:
        """(prompt, fields, columns of the prompt, implied fields, what is left of the arguments)."""
        first = self.task.first
        if first in ("prompt", "fields"):
            if not arguments:
                what = "a prompt first" if first == "prompt" else "at least one field"
                raise CallError(f"{self._called}() expects {what}, got nothing")
            prompt, made = self.task.instruction, tuple[Column, ...]()
            if first == "prompt":
                prompt, made = prompt_of(self._called, arguments.pop(0), self.task.template)
            fields, implied = with_implied(prompt, named_fields([Struct(made), *arguments]))
            return prompt, fields, fields[: len(made)], implied, []
        if first == "group":
            if len(arguments) != 2:
                raise CallError(f"{self._called}() expects a prompt and the values of a group, got {len(arguments)}")
            prompt, made = prompt_of(self._called, arguments[0], template=False)
            if made:
                raise CallError(f"{self._called}() expects its prompt to be a constant text, got {found(arguments[0])}")
            return prompt, _collected(arguments[1]), (), 0, []
        if first == "texts" and arguments:
            return None, _collected(arguments[0]), (), 0, arguments[1:]
        data = 2 if first == "pair" else 1
        if len(arguments) < data:
            raise CallError(f"{self._called}() expects {self._signature()}, got {len(arguments)} arguments")
        return None, named_fields(arguments[:data]), (), 0, arguments[data:]

    def _signature(self) -> str:
        data = ["a", "b"] if self.task.first == "pair" else ["x"]
        return f"{self.task.function}({', '.join([*data, *(a.name for a in self.task.arguments)])})"

    def _given(self, rest: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        """The task's arguments, by position and by name; those by name leave `named`."""
        wanted = self.task.arguments
        if len(rest) > len(wanted):
            raise CallError(
                f"{self._called}() got {len(rest) - len(wanted)} arguments too many, it is {self._signature()}; "
                "several columns go into struct(title, body)"
            )
        given = {a.name: value for a, value in zip(wanted, rest, strict=False)}
        for argument in wanted:
            if argument.name in named:
                if argument.name in given:
                    raise CallError(f"{self._called}() got {argument.name!r} twice; give it once")
                given[argument.name] = named.pop(argument.name)
            if argument.name not in given and argument.default is None:
                raise CallError(f"{self._called}() expects {argument.name}, got none; it is {self._signature()}")
        return {a.name: constant_of(self._called, a.name, a.type, given[a.name]) for a in wanted if a.name in given}

    def _held(self, given: dict[str, Any]) -> tuple[tuple[str, ...], str | None, str]:
        """(labels, schema, reading) of the answers."""
        own, output = own_tasks().get(self.task.name), self.task.output
        if own is not None:
            return own.labels, own.schema, own.reading
        if output == "LABELS":
            default = self.task.labels if self.function else ()  # `llm('classify', x)` travels as it always has
            return next((given[a.name] for a in self.task.arguments if a.name in given), default), None, "text"
        if output == "SCHEMA":
            [wanted] = [given[a.name] for a in self.task.arguments if a.type == "SCHEMA"]
            named = ", ".join(f"`{n.replace('`', '``')}` STRING" for n in wanted) if isinstance(wanted, tuple) else ""
            return (), parse_ddl(named or wanted), "columns"
        if output == "STRING" or not isinstance(output, str):
            return self.task.labels, None, "text"
        if output == "BOOLEAN":
            return self.task.labels, None, "boolean"
        return (), answer_schema(output)[0], "answer"


def _collected(x: Any) -> tuple[Column, ...]:
    """What an aggregate reads: the caller makes one JSON list of it, `to_json(sort_array(collect_list(x)))`."""
    return (Column("texts", x.source if isinstance(x, (Column, Concat)) else x),)


def value_type(reading: str, schema: str | None) -> str:
    """SQL type of a value."""
    if reading == "boolean":
        return "BOOLEAN"
    if schema is None or reading == "text":
        return "STRING"
    columns = _of_columns(schema)
    return f"STRUCT<{columns}>" if reading == "columns" else columns.removeprefix("answer: ").removesuffix(" NOT NULL")


def _of_columns(schema: str) -> str:
    return ddl(schema, ": ")
