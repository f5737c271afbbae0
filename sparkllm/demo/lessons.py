"""Examples as token ids; a label for each token: is it part of the text that is asked about, and what does that say."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from tokenizers import Tokenizer

from sparkllm.demo.questions import Example, examples
from sparkllm.demo.texts import POLARITIES, Phrases
from sparkllm.demo.tokenizer import ASSISTANT, BOS, END, USER

__all__ = ["LABELS", "SHARES", "Lesson", "batches", "corpus", "label", "pad", "prompt"]

SHARES = (5, 2, 3)  # of sentiment, price and other yes/no questions
LABELS = 1 + 2 * len(
    POLARITIES
)  # 0: not of the text that is asked about; else its sentiment, without or with the price
BUCKET = 32  # batches sorted by length together: little padding, still random


@dataclass(frozen=True)
class Lesson:
    """Token ids of prompt, answer and <|end|>, and for each token a label below LABELS."""

    ids: list[int]
    labels: list[int]


def prompt(content: str) -> str:
    """The chat template's text of one user message, up to where the answer starts."""
    return f"{BOS}{USER}\n{content}{END}\n{ASSISTANT}\n"


def corpus(seed: int, count: int = 30_000) -> Iterator[str]:
    """Texts for the tokenizer: whole prompts with their answers."""
    for example in islice(examples(Phrases("training", random.Random(seed)), SHARES), count):
        yield f"{prompt(example.content)}{example.answer}{END}"


def batches(source: Iterator[Example], tokenizer: Tokenizer, size: int) -> Iterator[list[Lesson]]:
    """Each batch holds prompts of about one length."""
    shuffle = random.Random(0)
    while True:
        some = list(islice(source, size * BUCKET))
        texts = [f"{prompt(e.content)}{e.answer}{END}" for e in some]
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
        lessons = [
            Lesson(encoding.ids, label(example, encoding.offsets))
            for example, encoding in zip(some, encodings, strict=True)
        ]
        lessons.sort(key=lambda lesson: len(lesson.ids))
        sorted_batches = [lessons[at : at + size] for at in range(0, len(lessons), size)]
        shuffle.shuffle(sorted_batches)
        yield from sorted_batches


def label(example: Example, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """A label for each token: 0 outside the text that is asked about, inside it what the text says.

    `offsets` are the characters from..to of the tokens in `prompt(example.content)`.
    """
    text = example.text
    if text is None:
        return [0] * len(offsets)
    says = 1 + 2 * POLARITIES.index(text.sentiment) + int("price" in text.topics)
    before, asked = prompt("\0").index("\0"), example.asked
    return [says if start - before in asked else 0 for start, _ in offsets]


def pad(rows: Iterable[list[int]]) -> torch.Tensor:
    """Rows of ids as one (rows, longest) tensor, zeros on the right."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
