"""`ai_query(endpoint, request, ...)`, as Databricks has it: a prompt, with the answer's type by returnType or responseFormat.

The endpoint is a model, or 'default' for the session's. `failOnError => false` gives STRUCT<result, errorMessage>, true
fails the job; left out, rows without an answer are as the session's `failOnError` says. A responseFormat that is a JSON
schema gives a STRING that holds the JSON, one that is STRUCT<...> gives that STRUCT, without a name around it.
"""  # noqa: E501

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sparkllm.answer_ddl import parse_ddl
from sparkllm.call_options import CallOptions
from sparkllm.calls import LLMCall
from sparkllm.errors import CallError
from sparkllm.own_tasks import held
from sparkllm.prompt_parts import Struct, named_fields, prompt_of
from sparkllm.task_constants import found, text_of
from sparkllm.typed_call import TypedCall, value_type

__all__ = ["ai_query", "response_schema"]

_ARGUMENTS = ("endpoint", "request", "returntype", "failonerror", "modelparameters", "responseformat")
_IGNORED = {"description", "title", "$schema", "additionalProperties", "properties", "required", "type", "items"}
_SCALARS = {"string": "string", "integer": "long", "number": "double", "boolean": "boolean"}


def ai_query(arguments: Sequence[Any], named: dict[str, Any]) -> TypedCall:
    """The call of `ai_query(...)`.

    Raises:
        CallError: what it cannot take.
    """
    if len(arguments) > len(_ARGUMENTS):
        raise CallError(f"ai_query() takes {len(_ARGUMENTS)} arguments, got {len(arguments)}")
    given = dict(zip(_ARGUMENTS, arguments, strict=False)) | {k: named.pop(k) for k in _ARGUMENTS if k in named}
    for name in ("endpoint", "request"):
        if name not in given:
            raise CallError(f"ai_query() expects {name}, got none; write ai_query('default', 'Say hello to ' || name)")
    endpoint = text_of("ai_query", "endpoint", given["endpoint"])
    prompt, made = prompt_of("ai_query", given["request"], template=False)
    fields = named_fields([Struct(made)])
    labels, schema, reading, shown = _answer(given.get("returntype"), given.get("responseformat"))
    fail = given.get("failonerror")
    if fail not in (None, True, False):
        raise CallError(f"ai_query() expects failOnError to be true or false, got {found(fail)}")
    kept = CallOptions.of("ai_query", _parameters(given.get("modelparameters")) | named)
    call = kept.into(
        LLMCall(
            "ai_query",
            prompt,
            tuple(f.name for f in fields),
            labels,
            None if endpoint == "default" else endpoint,
            schema,
            function="ai_query",
            arguments=shown,
            on_error=None if fail is None else "fail" if fail else "struct",
            whole=not (labels or schema),
        )
    )
    names = ("result", "errorMessage") if fail is False else ("value", "error")
    return TypedCall(call, fields, 0, reading, value_type(reading, schema), fields, kept.selectivity, names)


def response_schema(text: str) -> str | None:
    """Spark's JSON of the columns that a responseFormat asks for, `{"type": "json_schema", ...}`; None for plain text.

    >>> inner = '{"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}'
    >>> response_schema(f'{{"type": "json_schema", "json_schema": {{"name": "a", "schema": {inner}}}}}')
    '{"type":"struct","fields":[{"name":"age","type":"long","nullable":false,"metadata":{}}]}'

    Raises:
        CallError: no JSON, or what no answer's schema can say.
    """
    try:
        raw = json.loads(text)
        kind = raw.get("type")
    except (ValueError, AttributeError):
        raise CallError(f"ai_query() expects responseFormat to be JSON or STRUCT<...>, got {text!r}") from None
    if kind == "text":
        return None
    schema = raw.get("json_schema", {}).get("schema") if kind == "json_schema" else None
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise CallError(
            "ai_query() takes a responseFormat of type text, or of type json_schema with an object as its schema, got "
            f"{text!r}"
        )
    return json.dumps(_kind(schema, "schema"), separators=(",", ":"), ensure_ascii=False)


def _answer(returns: Any, response: Any) -> tuple[tuple[str, ...], str | None, str, tuple[tuple[str, Any], ...]]:
    """(labels, schema, reading, arguments to show)."""
    if returns is not None and response is not None:
        raise CallError("ai_query() takes returnType or responseFormat, got both; leave one out")
    if returns is not None:
        text = text_of("ai_query", "returnType", returns)
        return (*held(text), (("returnType", text),))
    if response is None:
        return (), None, "text", ()
    text = text_of("ai_query", "responseFormat", response)
    shown = (("responseFormat", text),)
    if text.lstrip().startswith("{"):
        return (), response_schema(text), "text", shown
    raw = json.loads(parse_ddl(text))
    inner = raw["fields"][0]["type"] if len(raw["fields"]) == 1 else None
    kept = inner if isinstance(inner, dict) and inner["type"] == "struct" else raw
    return (), json.dumps(kept, separators=(",", ":"), ensure_ascii=False), "columns", shown


def _parameters(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise CallError(f"ai_query() expects modelParameters to be a named_struct of constants, got {found(given)}")
    for name in given:
        if name != "max_tokens":
            raise CallError(
                f"ai_query() takes max_tokens of modelParameters, got {name!r}; what else changes an answer is set for "
                "the session, such as spark.sparkllm.temperature"
            )
    return dict(given)


def _kind(schema: Any, path: str) -> Any:
    kinds = schema.get("type") if isinstance(schema, dict) else None
    [kind] = [k for k in kinds if k != "null"][:1] or [None] if isinstance(kinds, list) else [kinds]
    more = sorted(set(schema) - _IGNORED) if isinstance(schema, dict) else []
    if kind not in (*_SCALARS, "object", "array") or more or (kind == "object" and not schema.get("properties")):
        raise CallError(
            f"ai_query() cannot hold an answer to {path!r} of its responseFormat: it knows string, integer, number, "
            f"boolean, array and object with properties, got {more or schema!r}"
        )
    if kind == "array":
        return {"type": "array", "elementType": _kind(schema.get("items"), f"{path}.items"), "containsNull": True}
    if kind == "object":
        required = schema.get("required", ())
        return {
            "type": "struct",
            "fields": [_column(n, p, n in required, path) for n, p in schema["properties"].items()],
        }
    return _SCALARS[kind]


def _column(name: str, schema: Any, required: bool, path: str) -> dict[str, Any]:
    kind = _kind(schema, f"{path}.{name}")
    nullable = not required or "null" in schema["type"]
    metadata = {"comment": schema["description"]} if schema.get("description") else {}
    return {"name": name, "type": kind, "nullable": nullable, "metadata": metadata}
