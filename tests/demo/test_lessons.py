"""What is claimed of the labels the shipped model is trained with."""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from sparkllm.demo import lessons
from sparkllm.demo.questions import Example, examples
from sparkllm.demo.texts import POLARITIES, Phrases, Text

MODEL = Path(lessons.__file__).parent / "model"


@pytest.fixture(scope="module")
def some() -> list[Example]:
    return list(islice(examples(Phrases("training", random.Random(3)), lessons.SHARES), 300))


def test_the_text_that_is_asked_about_is_found_in_the_prompt(some: list[Example]) -> None:
    for example in some:
        assert example.text is not None
        shown = example.content[example.asked.start : example.asked.stop]
        assert json.loads(f'"{shown}"') == example.text.text


def test_the_tokens_that_begin_in_the_text_that_is_asked_about_tell_what_it_says(some: list[Example]) -> None:
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    for example in some:
        text = lessons.prompt(example.content)
        offsets = tokenizer.encode(text, add_special_tokens=False).offsets
        labels = lessons.label(example, offsets)
        told = [text[start:end] for (start, end), label in zip(offsets, labels, strict=True) if label]
        assert example.text is not None
        assert set(labels) <= {0, 1 + 2 * POLARITIES.index(example.text.sentiment) + ("price" in example.text.topics)}
        shown = example.content[example.asked.start : example.asked.stop]
        begun = [shown[at:] for at in range(3)]  # a first token may begin with the quote before it
        assert any("".join(told).startswith(text) for text in begun) or not shown.isascii()


def test_an_opinion_in_another_field_is_not_labelled() -> None:
    text = Text("Broke at once.", "negative", frozenset({"quality"}))
    data = {"description": "I love it.", "review": text.text}
    example = Example("sentiment", f"Which?\n\n{json.dumps(data)}", "negative", POLARITIES, text)
    content = lessons.prompt(example.content)
    letters = [(at, at + 1) for at in range(len(content))]
    told = "".join(
        content[start] for (start, _), label in zip(letters, lessons.label(example, letters), strict=True) if label
    )
    assert told == text.text
