"""What is claimed of the made-up texts the shipped model is trained on and judged by."""

from __future__ import annotations

import csv
import json
import random
import re
from itertools import islice
from pathlib import Path

import pytest

from sparkllm.demo import questions
from sparkllm.demo.make_reviews import HEADER, rows
from sparkllm.demo.texts import POLARITIES, TOPICS, Phrases, write

NAMES = ("product", "brand", "airline", "city", "person", "relative", "n", "big", "flight", "day")


def _phrases(name: str, seed: int = 1) -> Phrases:
    return Phrases(name, random.Random(seed))


def _all_clauses(phrases: Phrases) -> set[str]:
    return {clause for topic in phrases.clauses.values() for clauses in topic.values() for clause in clauses}


def _runs(clause: str, length: int = 4) -> set[tuple[str, ...]]:
    """Runs of words that stand next to each other, without those that a slot fills."""
    parts = [re.findall(r"[a-z0-9']+", part) for part in re.split(r"\{\w+\}", clause.lower())]
    return {tuple(words[i : i + length]) for words in parts for i in range(len(words) - length + 1)}


@pytest.mark.parametrize("name", ["held_out", "validation"])
def test_no_phrase_is_like_one_of_the_training(name: str) -> None:
    judged, training = _all_clauses(_phrases(name)), _all_clauses(_phrases("training"))
    assert judged & training == set()
    known = set().union(*(_runs(clause) for clause in training))
    assert {clause for clause in judged if _runs(clause) & known} == set()


@pytest.mark.parametrize("slot", NAMES)
def test_no_name_is_in_the_training(slot: str) -> None:
    training = set(_phrases("training").slots[slot])
    assert not training & {word for name in ("held_out", "validation") for word in _phrases(name).slots[slot]}


def test_every_topic_has_clauses_of_each_polarity() -> None:
    for name in ("training", "validation", "held_out"):
        clauses = _phrases(name).clauses
        assert all(clauses[topic][polarity] for topic in TOPICS for polarity in POLARITIES)


def test_a_text_has_no_slot_left_open() -> None:
    phrases = _phrases("training")
    for sentiment in ("negative", "neutral", "positive"):
        assert not any("{" in write(phrases, sentiment, tweet=True).text for _ in range(200))


def test_the_same_seed_writes_the_same_examples() -> None:
    first, second = (list(islice(questions.examples(_phrases("training"), (5, 3, 2)), 200)) for _ in range(2))
    assert first == second


def test_an_example_is_an_instruction_a_blank_line_and_a_json_object_of_strings() -> None:
    for example in islice(questions.examples(_phrases("training"), (5, 3, 2)), 200):
        instruction, data = example.content.split("\n\n", 1)
        assert instruction
        assert all(isinstance(value, str) for value in json.loads(data).values())
        assert example.answer in example.choices


def test_reviews_csv_is_what_make_reviews_makes() -> None:
    path = Path(questions.__file__).parent / "reviews.csv"
    with path.open(encoding="utf-8", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == [HEADER, *rows()]
