"""What is sent, what each server takes of it, and what its JSON means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sparkllm.backend.endpoint.body import Dialect, body_of
from sparkllm.backend.engine import Sampling

from .conftest import KEY, Ask
from .misbehaving import Misbehaving, completion, refused

LABELS = Sampling(max_tokens=9, choices=("negative", "positive"))
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 64}, "maxLength": {"type": "integer"}},
    "required": ["name", "maxLength"],
    "additionalProperties": False,
}
TYPED = Sampling(json_schema=json.dumps(SCHEMA))


def test_a_request_holds_the_messages_and_how_to_answer(server: Misbehaving, ask: Ask) -> None:
    ask('Is "this"\ngood? 日本', Sampling(max_tokens=5), system="Be brief.")
    assert server.bodies == [
        {
            "model": "some/model",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": 'Is "this"\ngood? 日本'},
            ],
            "max_tokens": 5,
            "temperature": 0.0,
        }
    ]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_a_key_may_lie_in_a_file_and_change_there(server: Misbehaving, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "key"
    for key in ("first", "second"):
        file.write_text(f"{key}\n")
        ask("one", api_key_file=str(file))
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer first", "Bearer second"]


def test_a_server_of_ones_own_needs_no_key(server: Misbehaving, ask: Ask) -> None:
    assert ask("one", api_key_env="NOT_SET_ANYWHERE")[0].text == "fine"
    assert "Authorization" not in server.headers[0]


def test_the_servers_own_counts_are_reported(server: Misbehaving, ask: Ask) -> None:
    (answer,) = ask("one")
    assert (answer.prompt_tokens, answer.cached_tokens, answer.output_tokens) == (40, 32, 7)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens_details": None}, []])
def test_a_server_that_counts_nothing_is_counted_for(server: Misbehaving, ask: Ask, usage: Any) -> None:
    choice = {"message": {"content": "it is fine"}, "finish_reason": "stop"}
    server.turns = [lambda body: (200, {}, {"choices": [choice], "usage": usage})]
    (answer,) = ask("one")
    assert (answer.prompt_tokens, answer.cached_tokens) == (3, 0)
    assert answer.output_tokens == 3


def test_a_label_is_asked_for_as_an_enum_and_unwrapped(server: Misbehaving, ask: Ask) -> None:
    server.turns = [completion('{"answer": "positive"}')]
    assert ask("one", LABELS)[0].text == "positive"
    form = server.bodies[0]["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"]["properties"] == {
        "answer": {"type": "string", "enum": ["negative", "positive"]}
    }


def test_a_typed_answer_is_asked_for_by_its_schema_without_lengths_of_texts(server: Misbehaving, ask: Ask) -> None:
    server.turns = [completion('{"name": "Ann", "maxLength": 3}')]
    assert ask("one", TYPED)[0].text == '{"name": "Ann", "maxLength": 3}'
    sent = server.bodies[0]["response_format"]["json_schema"]["schema"]
    assert sent == SCHEMA | {"properties": {"name": {"type": "string"}, "maxLength": {"type": "integer"}}}


@pytest.mark.parametrize(
    "said", ["positive", " Positive.\n", '"positive"', "**Positive**", '```json\n{"answer": "positive"}\n```']
)
def test_a_server_that_refuses_answer_forms_is_asked_in_words_and_its_answer_checked(
    server: Misbehaving, ask: Ask, capfd: pytest.CaptureFixture[str], said: str
) -> None:
    def turn(body: dict[str, Any]) -> Any:
        return (refused(400, "response_format is not supported") if "response_format" in body else completion(said))(
            body
        )

    server.turns = [turn]
    assert [answer.text for answer in ask(["one", "two", "three"], LABELS, endpoint_concurrency=1)] == ["positive"] * 3
    assert len(server.bodies) == 4, "it is asked for a form once"
    assert capfd.readouterr().out.count("without response_format") == 1


@pytest.mark.parametrize("said", ["maybe", "", '{"answer": "maybe"}', "{}", '{"answer": "POSITIVE"}'])
def test_an_answer_that_is_no_label_is_none(server: Misbehaving, ask: Ask, said: str) -> None:
    server.turns = [completion(said)]
    (answer,) = ask("one", LABELS)
    assert answer.text is None
    assert "not one of the labels" in str(answer.error)


def test_labels_that_differ_in_capitals_alone_are_not_guessed(server: Misbehaving, ask: Ask) -> None:
    server.turns = [completion("A."), completion("A"), completion("a")]
    sampling = Sampling(choices=("a", "A"))
    answers = ask(["one", "two", "three"], sampling, endpoint_concurrency=1)
    assert [answer.text for answer in answers] == [None, "A", "a"]


@pytest.mark.parametrize("said", ["Sure! Ann.", "[1]", '{"name": "An'])
def test_an_answer_that_is_no_object_is_none(server: Misbehaving, ask: Ask, said: str) -> None:
    server.turns = [completion(said)]
    assert ask("one", TYPED)[0].error == "the answer is no JSON object"


def test_an_answer_that_is_cut_is_truncated_as_it_is_in_an_engine_of_ones_own(server: Misbehaving, ask: Ask) -> None:
    server.turns = [completion('{"name": "An', "length")]
    (typed,) = ask("one", TYPED)
    assert (typed.text, typed.truncated) == (None, True)
    server.turns = [completion("It is a", "length")]
    (free,) = ask("one", Sampling())
    (whole,) = ask("one", Sampling(whole=True))
    assert (free.text, free.truncated) == ("It is a", False)
    assert (whole.text, whole.truncated) == (None, True)
    server.turns = [completion("", "length", reasoning_content="Hm.")]
    (thought,) = ask("one", Sampling())
    assert thought.truncated
    assert "tokens went into the model's thought" in str(thought.error)


def test_a_thought_in_front_of_the_answer_is_cut_and_one_inside_stays(server: Misbehaving, ask: Ask) -> None:
    server.turns = [completion("<think>Hm.</think>\n\nyes"), completion("It says <think>a</think>.")]
    answers = ask(["one", "two"], endpoint_concurrency=1)
    assert [answer.text for answer in answers] == ["yes", "It says <think>a</think>."]


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (completion("", "content_filter"), "the server ended the request: content_filter"),
        (completion("", refusal="I cannot"), "the model refuses to answer this"),
    ],
)
def test_what_a_server_will_not_say_is_that_rows_error(server: Misbehaving, ask: Ask, turn: Any, words: str) -> None:
    server.turns = [turn]
    (answer,) = ask("one")
    assert (answer.text, answer.error) == (None, words)


def test_a_server_is_asked_in_the_fields_that_it_takes(
    server: Misbehaving, ask: Ask, capfd: pytest.CaptureFixture[str]
) -> None:
    def turn(body: dict[str, Any]) -> Any:
        if "max_tokens" in body:
            why = "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead."
            return refused(400, why)(body)
        if "temperature" in body:
            return refused(400, "'temperature' does not support 0.0 with this model.")(body)
        return completion("fine")(body)

    server.turns = [turn]
    assert [answer.text for answer in ask(["one", "two"], endpoint_concurrency=1)] == ["fine", "fine"]
    assert len(server.bodies) == 4
    assert server.bodies[-1].keys() == {"model", "messages", "max_completion_tokens"}
    assert capfd.readouterr().out.count("takes max_completion_tokens; without temperature") == 1


def test_a_refusal_that_names_what_is_sent_but_is_about_the_row_changes_nothing(server: Misbehaving, ask: Ask) -> None:
    server.turns = [refused(400, "'max_tokens' is too large: 128. This model's maximum context length is 100 tokens")]
    (answer,) = ask("one")
    assert "max_tokens" in str(answer.error)
    assert len(server.bodies) == 1


def test_a_refusal_that_nothing_helps_against_is_the_rows(server: Misbehaving, ask: Ask) -> None:
    server.turns = [refused(400, "max_tokens, max_completion_tokens, temperature, response_format: no")]
    (answer,) = ask("one", LABELS)
    assert answer.text is None
    assert len(server.bodies) == 4


def test_options_of_the_user_have_the_last_word(server: Misbehaving, ask: Ask) -> None:
    ask("one", endpoint_options='{"reasoning_effort": "minimal", "max_tokens": 2000}')
    assert server.bodies[0]["reasoning_effort"] == "minimal"
    assert server.bodies[0]["max_tokens"] == 2000


def test_a_seed_goes_with_sampled_answers() -> None:
    body = body_of("m", [], Sampling(temperature=0.7, seed=3), Dialect.of("https://api.openai.com/v1"), {})
    assert body == {"model": "m", "messages": [], "max_completion_tokens": 128, "temperature": 0.7, "seed": 3}
