"""What is claimed of the made-up texts the shipped model is trained on and judged by."""

from __future__ import annotations

import csv
import json
import random
from itertools import islice
from pathlib import Path

import pytest

from sparkllm.demo import questions
from sparkllm.demo.make_reviews import HEADER, rows
from sparkllm.demo.texts import TOPICS, Phrases, write

NAMES = ("product", "brand", "airline", "city", "person", "relative", "n", "big", "flight", "day")


def _phrases(file: str, seed: int = 1) -> Phrases:
    return Phrases(file, random.Random(seed))


def _all_clauses(phrases: Phrases) -> set[str]:
    return {clause for topic in phrases.clauses.values() for clauses in topic.values() for clause in clauses}


def test_no_held_out_phrase_is_in_the_training() -> None:
    shared = _all_clauses(_phrases("phrases.toml")) & _all_clauses(_phrases("phrases_heldout.toml"))
    assert shared == set()


@pytest.mark.parametrize("slot", NAMES)
def test_no_held_out_name_is_in_the_training(slot: str) -> None:
    training, held_out = _phrases("phrases.toml").slots[slot], _phrases("phrases_heldout.toml").slots[slot]
    assert set(training) & set(held_out) == set()


def test_every_topic_has_clauses_of_each_polarity() -> None:
    for file in ("phrases.toml", "phrases_heldout.toml"):
        clauses = _phrases(file).clauses
        assert tuple(clauses) == TOPICS
        assert all(set(topic) == {"negative", "neutral", "positive"} for topic in clauses.values())


def test_a_text_has_no_slot_left_open() -> None:
    phrases = _phrases("phrases.toml")
    for sentiment in ("negative", "neutral", "positive"):
        assert not any("{" in write(phrases, sentiment, tweet=True).text for _ in range(200))


def test_the_same_seed_writes_the_same_examples() -> None:
    first, second = (list(islice(questions.examples(_phrases("phrases.toml"), (5, 3, 2)), 200)) for _ in range(2))
    assert first == second


def test_an_example_is_an_instruction_a_blank_line_and_a_json_object_of_strings() -> None:
    for example in islice(questions.examples(_phrases("phrases.toml"), (5, 3, 2)), 200):
        instruction, data = example.content.split("\n\n", 1)
        assert instruction
        assert all(isinstance(value, str) for value in json.loads(data).values())
        assert example.answer in example.choices


def test_reviews_csv_is_what_make_reviews_makes() -> None:
    path = Path(questions.__file__).parent / "reviews.csv"
    with path.open(encoding="utf-8", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == [HEADER, *rows()]
