"""From an answer's token ids to its value: control tokens and thoughts are none of it, nor is what was cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from sparkllm.backend.answer_text import AnswerReader
from sparkllm.backend.engine import Answer, EngineSpec, Sampling
from sparkllm.backend.thoughts import Thoughts
from sparkllm.config import LLMConfig

from .made_up_models import CHATML, R1, tokenizer_of

FREE, LABELS, JSON = Sampling(), Sampling(choices=("yes", "no")), Sampling(json_schema="{}")
OPEN = "<|im_start|>assistant\n<think>\n"


@pytest.fixture(scope="module")
def demo() -> AnswerReader:
    model = EngineSpec.of(LLMConfig(), "demo", "app").model
    return AnswerReader(Tokenizer.from_file(str(Path(model, "tokenizer.json"))))


@pytest.fixture(scope="module")
def thinking() -> AnswerReader:
    """Its marks are tokens."""
    tokenizer = tokenizer_of()
    return AnswerReader(tokenizer, Thoughts.of(tokenizer, R1))


@pytest.fixture(scope="module")
def spelling() -> AnswerReader:
    """Its marks are nothing but letters, which its template knows."""
    tokenizer = tokenizer_of(plain=())
    return AnswerReader(tokenizer, Thoughts.of(tokenizer, "{{ content.split('</think>')[-1] }}"))


def read(reader: AnswerReader, text: str, sampling: Sampling = FREE, cut: bool = False, prompt: str = "a") -> Answer:
    """An answer of these tokens, and the one that ends it unless it was `cut`."""
    tokenizer = reader._tokenizer
    ids, asked = (tokenizer.encode(part, add_special_tokens=False).ids for part in (text, prompt))
    return reader.read(asked, ids if cut else [*ids, 1], "length" if cut else "stop", sampling)


def letters(reader: AnswerReader, text: str) -> list[int]:
    """The same text in tokens of its letters, as a model copies it out of a row."""
    return [i for letter in text for i in reader._tokenizer.encode(letter, add_special_tokens=False).ids]


def test_control_tokens_of_an_answer_are_no_text(demo: AnswerReader) -> None:
    assert read(demo, "<|assistant|>\nyes<|end|><|user|> no", cut=True).text == "\nyes no"
    assert read(demo, "yes").text == "yes"


@pytest.mark.parametrize("text", ["__import__('os').abort()", '{"a": ', "{{ 7 * 7 }}", "${jndi:ldap://x}", "\x80\x04."])
def test_an_answer_is_text_and_nothing_else(demo: AnswerReader, text: str) -> None:
    assert read(demo, text, cut=True).text == text


def test_a_model_without_thoughts_may_write_of_them(demo: AnswerReader) -> None:
    assert read(demo, "a <think>b</think> c").text == "a <think>b</think> c"


def test_a_text_that_is_to_be_whole_is_none_where_it_was_cut(demo: AnswerReader) -> None:
    whole = Sampling(whole=True)
    cut, ended = (read(demo, "half a sentence", whole, cut=cut) for cut in (True, False))
    assert (cut.text, cut.truncated) == (None, True)
    assert "before its text had ended; raise spark.sparkllm.maxTokens or max_tokens" in str(cut.error)
    assert "sente" not in str(cut.error)
    assert (ended.text, ended.truncated) == ("half a sentence", False)
    assert read(demo, "half a sentence", cut=True).text == "half a sentence"


def test_an_error_does_not_repeat_the_answer(demo: AnswerReader) -> None:
    answer = read(demo, "CanaryOfTheField", Sampling(choices=("yes", "no"), max_tokens=3), cut=True)
    assert answer.text is None
    assert answer.error == "the answer is not one of the labels (max_tokens=3 cut it)"


THOUGHTS = {
    "<think>Hm.</think>\n\nyes": "yes",
    "Hm.</think>yes": "yes",  # nothing has opened it
    "<think>a<think>b</think>c</think>yes": "yes",  # nested
    "<think></think>yes": "yes",
    "yes<think>a</think> and no": "yes and no",
    "yes<think>and": "yes",  # unclosed, behind an answer
    "no thought at all ": "no thought at all ",
    "": "",
}


@pytest.mark.parametrize("text", THOUGHTS)
@pytest.mark.parametrize("kind", ["thinking", "spelling"])
def test_thoughts_are_cut_from_the_value(text: str, kind: str, request: pytest.FixtureRequest) -> None:
    assert read(request.getfixturevalue(kind), text).text == THOUGHTS[text]


@pytest.mark.parametrize("kind", ["thinking", "spelling"])
def test_a_thought_that_the_prompt_has_opened_is_cut(kind: str, request: pytest.FixtureRequest) -> None:
    reader = request.getfixturevalue(kind)
    assert read(reader, "Hm.</think>yes", prompt=OPEN).text == "yes"
    assert read(reader, "<think>Hm.</think>yes", prompt=OPEN).text == "yes"
    assert read(reader, "yes", prompt=f"{OPEN}</think>\n\n").text == "yes"


@pytest.mark.parametrize("kind", ["thinking", "spelling"])
@pytest.mark.parametrize(("text", "prompt"), [("<think>Hm. And", "a"), ("Hm. And", OPEN), ("Hm.</think>\n\n", OPEN)])
def test_tokens_used_up_by_a_thought_are_a_truncated_answer(
    text: str, prompt: str, kind: str, request: pytest.FixtureRequest
) -> None:
    answer = read(request.getfixturevalue(kind), text, cut=True, prompt=prompt)
    assert (answer.text, answer.truncated) == (None, True)
    assert "tokens went into the model's thought, before it answered; raise spark.sparkllm.maxTokens" in str(
        answer.error
    )


def test_an_answer_that_ends_inside_a_thought_is_none(thinking: AnswerReader) -> None:
    answer = read(thinking, "<think>Hm.")
    assert (answer.text, answer.truncated) == (None, False)
    assert answer.error == "the model ended its answer inside a thought"


def test_an_answer_cut_behind_a_thought_is_what_any_cut_text_is(thinking: AnswerReader) -> None:
    assert read(thinking, "<think>Hm.</think>yes and", cut=True).text == "yes and"


def test_letters_of_a_mark_that_is_a_token_stay_in_the_value(thinking: AnswerReader) -> None:
    ids = letters(thinking, "It says <think>a</think> b")
    assert thinking.read([3], [*ids, 1], "stop", FREE).text == "It says <think>a</think> b"


@pytest.mark.parametrize("kind", ["thinking", "spelling"])
def test_marks_inside_json_are_the_values_own(kind: str, request: pytest.FixtureRequest) -> None:
    text = '{"a": "<think>b</think> c"}'
    assert read(request.getfixturevalue(kind), text, JSON).text == text


def test_an_answer_that_is_held_follows_the_thought_before_it(thinking: AnswerReader) -> None:
    text = '{"a": "<think>b</think> c"}'
    assert read(thinking, f"Hm.</think>{text}", JSON, prompt=OPEN).text == text
    assert read(thinking, "Hm.</think>yes", LABELS, prompt=OPEN).text == "yes"
    for text in ("Hm. And so", "Hm.</think>"):
        answer = read(thinking, text, LABELS, cut=True, prompt=OPEN)
        assert (answer.text, answer.truncated) == (None, True)
    cut = read(thinking, 'Hm.</think>{"a": ', JSON, cut=True, prompt=OPEN)
    assert (cut.truncated, "before its JSON had ended" in str(cut.error)) == (True, True)


def test_a_label_is_read_as_it_is_where_no_thought_was_opened(thinking: AnswerReader) -> None:
    assert read(thinking, "yes", LABELS, prompt=f"{OPEN}</think>\n\n").text == "yes"
    assert not thinking.thinks_first(thinking._tokenizer.encode(f"{OPEN}</think>\n\n").ids)
    assert thinking.thinks_first(thinking._tokenizer.encode(OPEN).ids)


def test_the_last_of_several_channels_is_the_answer() -> None:
    tokenizer = tokenizer_of((), ("<|channel|>", "<|message|>"))
    reader = AnswerReader(tokenizer, Thoughts.of(tokenizer, CHATML))
    text = "<|channel|>analysis<|message|>Hm.<|im_end|><|im_start|>assistant<|channel|>final<|message|>yes"
    assert read(reader, text).text == "yes"
    assert read(reader, text.partition("<|im_end|>")[0], cut=True).truncated
    assert read(reader, "yes", LABELS, prompt="<|im_start|>assistant<|channel|>final<|message|>").text == "yes"
