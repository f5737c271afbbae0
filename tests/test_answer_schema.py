"""A typed answer: what the engine is held to, and what the model and the report are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sparkllm.answer_schema import ddl, json_schema, words
from sparkllm.calls import LLMCall


def struct(*columns: tuple[str, Any], nullable: bool = False, **metadata: str) -> dict[str, Any]:
    """As Spark writes it."""
    fields = [{"name": n, "type": t, "nullable": nullable, "metadata": metadata} for n, t in columns]
    return {"type": "struct", "fields": fields}


def array(element: Any) -> dict[str, Any]:
    return {"type": "array", "elementType": element, "containsNull": True}


def properties(kind: dict[str, Any], max_tokens: int = 128) -> dict[str, Any]:
    return dict(json.loads(json_schema(json.dumps(kind), max_tokens))["properties"])


INTEGERS = [("byte", 127), ("short", 32767), ("integer", 2**31 - 1), ("long", 2**63 - 1)]


@pytest.mark.parametrize(("kind", "most"), INTEGERS)
def test_an_integer_fits_its_type(kind: str, most: int) -> None:
    assert properties(struct(("a", kind)))["a"] == {"type": "integer", "minimum": -most - 1, "maximum": most}


def test_a_decimal_fits_its_precision() -> None:
    bounds = {"type": "number", "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}
    assert properties(struct(("a", "decimal(5,2)")))["a"] == bounds


def test_columns_are_all_required_and_null_only_where_sql_allows_it() -> None:
    schema = json.loads(json_schema(json.dumps(struct(("a", "boolean"), ("b", "date"), nullable=True)), 128))
    assert schema["required"] == ["a", "b"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["a"] == {"anyOf": [{"type": "boolean"}, {"type": "null"}]}
    assert properties(struct(("a", "boolean")))["a"] == {"type": "boolean"}


def longest(schema: dict[str, Any]) -> str:
    """The longest JSON text that a schema allows, but for escapes."""
    if "anyOf" in schema:
        return max(map(longest, schema["anyOf"]), key=len)
    if schema["type"] == "object":
        return "{" + ", ".join(f"{json.dumps(k)}: {longest(v)}" for k, v in schema["properties"].items()) + "}"
    if schema["type"] == "array":
        return "[" + ", ".join([longest(schema["items"])] * schema["maxItems"]) + "]"
    if schema["type"] == "string":
        return json.dumps("2020-01-02" if "format" in schema else "x" * schema["maxLength"])
    return {
        "integer": str(schema.get("minimum")),
        "number": "-123456789012345.123456789e+99",
        "boolean": "false",
        "null": "null",
    }[schema["type"]]


KINDS = {
    "one text": struct(("a", "string")),
    "four texts": struct(*((f"text{i}", "string") for i in range(4)), nullable=True),
    "lists": struct(("a", array("string")), ("b", array("integer")), nullable=True),
    "a struct in a list": struct(("a", array(struct(("b", "string"), ("c", "long"), ("d", "string"))))),
    "a struct": struct(("a", struct(("b", "string"), ("c", "date"))), ("d", "double"), ("e", "decimal(10,2)")),
}


@pytest.mark.parametrize("max_tokens", [2000, 8000])
@pytest.mark.parametrize("name", KINDS)
def test_the_longest_answer_has_a_character_for_each_token(name: str, max_tokens: int) -> None:
    text = longest(json.loads(json_schema(json.dumps(KINDS[name]), max_tokens)))
    print(f"{name}, {max_tokens} tokens: {len(text)} characters")
    assert 0.8 * max_tokens <= len(text) <= max_tokens


def test_a_text_has_room_for_a_sentence_and_a_list_for_some_items_however_few_tokens_there_are() -> None:
    few = properties(struct(("a", "string"), ("b", array("string")), ("c", array("byte"))), max_tokens=8)
    assert few["a"] == few["b"]["items"] == {"type": "string", "maxLength": 64}
    assert few["b"]["maxItems"] == few["c"]["maxItems"] == 8


def test_the_model_is_told_names_types_and_comments() -> None:
    kind = struct(
        ("who", struct(("name", "string"), ("age", "integer"))), ("tags", array("string")), ("score", "double")
    )
    assert words(json.dumps(kind)) == (
        '{"who": {"name": string, "age": integer}, "tags": [string, ...], "score": number}'
    )
    assert words(json.dumps(struct(("on", "date"), nullable=True, comment="of purchase"))) == (
        '{"on": date as "YYYY-MM-DD" or null (of purchase)}'
    )


def test_a_call_shows_its_schema_as_sql() -> None:
    kind = struct(("a", array(struct(("b", "long"), nullable=True))), ("c", "decimal(5,2)"), comment="it's")
    text = json.dumps(kind)
    assert ddl(text) == "a ARRAY<STRUCT<b: BIGINT>> NOT NULL COMMENT 'it\\'s', c DECIMAL(5,2) NOT NULL COMMENT 'it\\'s'"
    assert str(LLMCall(None, "Who?", ("x",), schema=json.dumps(struct(("n", "short"), nullable=True)))) == (
        "llm('Who?', x, schema => 'n SMALLINT')"
    )
