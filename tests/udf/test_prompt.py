"""What the model is shown."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from sparkllm.calls import LLMCall
from sparkllm.optimizer.encode import encode
from sparkllm.udf.prompt import Template, render, static_text


def prompt(call: LLMCall, *values: str | None, order: tuple[int, ...] | None = None) -> str:
    columns = [pa.array([value], type=pa.string()) for value in values]
    return render(call, encode(columns, 1), order if order is not None else tuple(range(len(values))))[0]


def data(text: str) -> dict:
    return dict(json.loads(text.split("\n\n", 1)[1]))


def test_null_fields_are_left_out_of_the_prompt() -> None:
    assert data(prompt(LLMCall(None, "Is it?", ("a", "b")), None, "x")) == {"b": "x"}


def test_an_empty_string_is_a_value() -> None:
    assert data(prompt(LLMCall(None, "Is it?", ("a", "b")), "", "x")) == {"a": "", "b": "x"}


ODD_TEXTS = ['say "hi"', "two\nlines", "tab\t\\ backslash", "日本語 🍺 é", "{review}", "\x00\u2028"]


@pytest.mark.parametrize("value", ODD_TEXTS)
def test_any_text_survives_as_json(value: str) -> None:
    assert data(prompt(LLMCall("classify", None, ("review",)), value)) == {"review": value}


def test_data_first_puts_the_same_parts_the_other_way_round() -> None:
    call = LLMCall(None, "Is it?", ("a", "b"), data_first=True)
    assert prompt(call, "1", "2", order=(1, 0)) == '{"b": "2", "a": "1"}\n\nIs it?'
    assert static_text(call) == "{"


def test_a_task_says_where_its_data_are() -> None:
    call = LLMCall("classify", None, ("review",))
    assert "the data below" in prompt(call, "x")
    assert "the data above" in prompt(replace(call, data_first=True), "x")


def test_a_schema_stays_beside_its_instruction() -> None:
    column = {"name": "a", "type": "string", "nullable": False, "metadata": {}}
    schema = json.dumps({"type": "struct", "fields": [column]})
    text = prompt(LLMCall(None, "Who?", ("b",), schema=schema, data_first=True), "x")
    assert text == '{"b": "x"}\n\nWho?\n\nAnswer with one JSON object: {"a": string}'


def test_fields_follow_the_chosen_order() -> None:
    text = prompt(LLMCall(None, "Is it?", ("a", "b", "c")), "1", "2", "3", order=(2, 0, 1))
    assert text.endswith('{"c": "3", "a": "1", "b": "2"}')


def test_a_template_field_stands_in_the_instruction_and_not_in_the_data() -> None:
    text = prompt(LLMCall(None, "Is this of {product}?", ("product", "review")), "Kettle", "fine")
    assert text == 'Is this of "Kettle"?\n\n{"review": "fine"}'


def test_a_null_template_field_is_null_and_an_empty_one_is_not() -> None:
    assert prompt(LLMCall(None, "Is {a} good?", ("a", "b")), None, "x").startswith("Is null good?")
    assert prompt(LLMCall(None, "Is {a} good?", ("a", "b")), "", "x").startswith('Is "" good?')
    assert prompt(LLMCall(None, "Is {a} good?", ("a", "b")), "null", "x").startswith('Is "null" good?')


def test_quotes_around_a_template_field_are_not_doubled() -> None:
    call = LLMCall(None, 'Is "{a}" or "{b}" in {c}?', ("a", "b", "c"))
    assert prompt(call, "x", 'y"', "z") == 'Is "x" or "y\\"" in "z"?'


def test_a_value_that_looks_like_a_placeholder_is_not_filled_in() -> None:
    assert prompt(LLMCall(None, "{a} {b}", ("a", "b")), "{b}", "x") == '"{b}" "x"'


def test_without_fields_the_prompt_is_the_instruction() -> None:
    call = LLMCall(None, "Say hello.", ())
    assert render(call, encode([], 1), ()) == ["Say hello."]


def test_double_braces_keep_a_name_and_unknown_placeholders_stay() -> None:
    template = Template.of(LLMCall(None, "Answer {{a}} for {a}, not {zzz}", ("a",)))
    assert template == Template(("Answer {a} for ", ", not {zzz}"), (0,))


@pytest.mark.parametrize("text", ['Answer as {"a": {"b": 1}}', "{}", "{{}}", "{ a }", "}{", "{1}", "{{{"])
def test_json_and_other_braces_are_plain_text(text: str) -> None:
    assert Template.of(LLMCall(None, text, ("a",))) == Template((text,), ())


def test_names_of_any_alphabet_are_placeholders() -> None:
    assert Template.of(LLMCall(None, "{größe} {レビュー}", ("größe", "レビュー"))).columns == (0, 1)


def test_a_template_lists_its_fields_by_first_use() -> None:
    assert Template.of(LLMCall(None, "{b} {a} {b}", ("a", "b", "c"))).first_fields == (1, 0)


def test_classify_names_its_labels() -> None:
    assert "negative, neutral or positive" in prompt(LLMCall("classify", None, ("review",)), "x")
    assert "Classify the data below as spam or ham." in prompt(LLMCall("classify", None, ("m",), ("spam", "ham")), "x")


def test_a_schema_stands_after_the_instruction_and_its_braces_are_text() -> None:
    column = {"name": "a", "type": "string", "nullable": False, "metadata": {"comment": "{a} itself"}}
    call = LLMCall(None, "Who wrote {a}?", ("a", "b"), schema=json.dumps({"type": "struct", "fields": [column]}))
    text = prompt(call, "Emma", "x")
    assert text == 'Who wrote "Emma"?\n\nAnswer with one JSON object: {"a": string ({a} itself)}\n\n{"b": "x"}'
