"""Made-up reviews and tweets with known sentiment and topics, put together from the phrases of a folder of phrases/.

Every text is a few clauses; a clause has a topic (price, delivery, ...) and a polarity. In a mixed text the clause
after `but` decides, or the main clause beside an `although`.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

__all__ = ["POLARITIES", "TOPICS", "Phrases", "Text", "describe", "write"]

POLARITIES = ("negative", "neutral", "positive")
TOPICS = ("price", "delivery", "quality", "service", "use", "size", "general")
_SLOT = re.compile(r"\{(\w+)\}")
_FACES = {"positive": "posface", "negative": "negface", "neutral": "neuface"}
_TAGS = {"positive": "postag", "negative": "negtag", "neutral": "neutag"}
_BUT = ("but", "but", "however", "yet", "still,", "on the other hand", "then again")
_ALTHOUGH = ("although", "even though", "though", "despite the fact that", "while")
_PATTERNS = (
    "{0}, {but} {1}",
    "{0} {but} {1}",
    "{0}. {but} {1}",
    "{although} {0}, {1}",
    "{1}, {although} {0}",
    "{1} {although} {0}",
)


@dataclass(frozen=True)
class Text:
    """A text, its sentiment (negative, neutral, positive) and the topics of its clauses."""

    text: str
    sentiment: str
    topics: frozenset[str]


class Phrases:
    """The phrases of one set (training, validation or held_out), drawn at random with their slots filled."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.rng = rng
        self.slots: dict[str, list[str]] = {}
        self.clauses: dict[str, dict[str, list[str]]] = {topic: {p: [] for p in POLARITIES} for topic in TOPICS}
        self.descriptions: list[str] = []
        folder = resources.files("sparkllm.demo").joinpath("phrases", name)
        for file in sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name):
            self._add(tomllib.loads(file.read_text(encoding="utf-8")))

    def _add(self, raw: dict[str, Any]) -> None:
        self.slots |= raw.pop("slots", {})
        self.descriptions += raw.pop("descriptions", [])
        for topic, clauses in raw.items():
            for polarity, phrases in clauses.items():
                self.clauses[topic][polarity] += phrases

    def fill(self, phrase: str) -> str:
        """Replace every {slot} by one of its words, each of which may hold slots itself."""
        while _SLOT.search(phrase):
            phrase = _SLOT.sub(lambda match: self._word(match[1]), phrase)
        return re.sub(r" {2,}", " ", phrase).strip()

    def _word(self, slot: str) -> str:
        """One of a slot's words; the first, which are the common ones, more often."""
        words = self.slots[slot]
        return words[int(len(words) * self.rng.random() ** 2)]

    def slot(self, name: str) -> str:
        """One word of a slot."""
        return self.fill(f"{{{name}}}")

    def clause(self, polarity: str, topics: tuple[str, ...] = TOPICS) -> tuple[str, str]:
        """One clause of this polarity, and its topic."""
        sizes = [len(self.clauses[topic][polarity]) for topic in topics]
        topic = self.rng.choices(topics, sizes)[0]
        return self.fill(self.rng.choice(self.clauses[topic][polarity])), topic


def write(phrases: Phrases, sentiment: str, tweet: bool, topics: tuple[str, ...] = TOPICS) -> Text:
    """Write a text of this sentiment: one to three clauses, some with a weaker clause of the opposite."""
    rng = phrases.rng
    if sentiment != "neutral" and rng.random() < 0.2:
        text, used = _mixed(phrases, sentiment, topics)
    else:
        text, used = _plain(phrases, sentiment, topics)
    text = _face(phrases, text, sentiment, 0.25 if tweet else 0.06)
    if tweet:
        text = _tweet(phrases, text, sentiment)
    return Text(_rough(rng, text), sentiment, frozenset(used))


def describe(phrases: Phrases) -> str:
    """What stands in a field beside the review: a shop's description, or anybody's opinion of anything.

    Only the name of the field tells that it does not count.
    """
    rng = phrases.rng
    lines = rng.sample(phrases.descriptions, rng.choice((1, 1, 2, 2, 3, 4, 6)))
    if rng.random() < 0.5:
        lines = [_upper(phrases.clause(rng.choice(POLARITIES))[0]) + "." for _ in lines]
    return " ".join(phrases.fill(line) for line in lines)


def _plain(phrases: Phrases, sentiment: str, topics: tuple[str, ...]) -> tuple[str, list[str]]:
    rng = phrases.rng
    polarities = [sentiment] * rng.choices((1, 2, 3, 5), (50, 32, 14, 4))[0]
    if sentiment != "neutral" and rng.random() < 0.25:
        polarities.append("neutral")
        rng.shuffle(polarities)
    drawn = [phrases.clause(polarity, topics) for polarity in polarities]
    return _join(rng, [text for text, _ in drawn]), [topic for _, topic in drawn]


def _mixed(phrases: Phrases, sentiment: str, topics: tuple[str, ...]) -> tuple[str, list[str]]:
    """A weaker clause of the opposite sentiment, then the clause that decides."""
    rng = phrases.rng
    weak, weak_topic = phrases.clause("negative" if sentiment == "positive" else "positive", topics)
    main, main_topic = phrases.clause(sentiment, topics)
    words = {"but": rng.choice(_BUT), "although": rng.choice(_ALTHOUGH)}
    return _upper(rng.choice(_PATTERNS).format(weak, main, **words)), [weak_topic, main_topic]


def _join(rng: random.Random, clauses: list[str]) -> str:
    separator = rng.choice((". ", ". ", ". ", ", ", " and ", "! ", "... ", "\n", " - ", "; "))
    return _upper(separator.join(c if separator in (", ", " and ") else _upper(c) for c in clauses)) + _end(
        rng, clauses
    )


def _end(rng: random.Random, clauses: list[str]) -> str:
    question = re.match(r"(what|who|when|where|how|is|are|do|does|can|any|will|could|which|why|has|have) ", clauses[-1])
    return rng.choice(("?", "?", "?", "")) if question else rng.choice((".", ".", "!", "!!", "", "..."))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _face(phrases: Phrases, text: str, sentiment: str, chance: float) -> str:
    if phrases.rng.random() > chance:
        return text
    return f"{text} {phrases.slot(_FACES[sentiment])}".rstrip()


def _tweet(phrases: Phrases, text: str, sentiment: str) -> str:
    rng = phrases.rng
    handle = "@" + phrases.slot("airline")
    text = rng.choice(
        (
            f"{handle} {text}",
            f"{handle} {text}",
            f"{handle} {text}",
            f"{text} {handle}",
            f"{handle} @{phrases.slot('person')} {text}",
            text,
        )
    )
    if rng.random() < 0.2:
        text += " " + phrases.slot(
            {"positive": "postag", "negative": "negtag", "neutral": "neutag"}[sentiment]
        ).replace(" ", "")
    if rng.random() < (0.25 if sentiment == "neutral" else 0.06):
        text += " http://t.co/" + "".join(rng.choices("abcdefghkmnpqrstuvwxyzABCDEFGHJKLMN0123456789", k=10))
    return text


def _rough(rng: random.Random, text: str) -> str:
    """What people do to their texts: no capitals, all capitals, no punctuation, typing errors, loooong vowels."""
    changes: tuple[tuple[float, Callable[[str], str]], ...] = (
        (0.2, str.lower),
        (0.04, str.upper),
        (0.1, lambda t: re.sub(r"[.,'](?=\s|\w|$)", "", t)),
        (0.15, lambda t: _typo(rng, t)),
        (0.03, lambda t: re.sub(r"([aeo])(?=\w\b)", lambda m: m[1] * 4, t, count=1)),
        (0.05, lambda t: t.replace(" you ", " u ").replace(" your ", " ur ").replace("please", "pls")),
        (0.1, lambda t: t.replace(" and ", " & ")),
    )
    for chance, change in changes:
        if rng.random() < chance:
            text = change(text)
    return text


def _typo(rng: random.Random, text: str) -> str:
    """Swap, drop or double one letter inside a word."""
    at = rng.randrange(1, max(2, len(text) - 2))
    pair = text[at : at + 2]
    if not pair.isalpha():
        return text
    return text[:at] + rng.choice((pair[::-1], pair[0], pair[0] + pair)) + text[at + 2 :]
