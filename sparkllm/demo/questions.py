"""Examples of our prompts with their answers: a sentiment, or a yes/no question about a review."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkllm.calls import LLMCall
from sparkllm.demo.texts import TOPICS, Phrases, Text, describe, write
from sparkllm.udf.prompt import value_text

__all__ = [
    "Example",
    "examples",
    "price_question",
    "render",
    "sentiment_question",
    "short_examples",
    "write_any",
    "yes_no_question",
]

PRICE = "Is this review of {product} about the price?"
_OPINIONS = ("positive", "negative")
_SENTIMENTS = ("negative", "neutral", "positive")
_LABELS = (_OPINIONS, _OPINIONS[::-1], ("positive", "neutral", "negative"), ("positive", "negative", "neutral"))
_OWN_SENTIMENT = (
    "Is this text positive, neutral or negative?",
    "What is the sentiment: positive, negative or neutral?",
    "Classify the review as negative, neutral or positive.",
)
_TEXT_NAMES = (
    *["review"] * 6,
    *["text"] * 6,
    "tweet",
    "comment",
    "col1",
    "c0",
    "value",
    "body",
    "message",
    "Review Text",
)
_YES_NO = (
    "Answer yes or no.",
    "Answer yes or no.",
    "Answer with yes or no only.",
    "Answer YES or NO.",
    "Reply YES or NO.",
)
_PRICE_QUESTIONS = (
    PRICE,
    "Is this review about the price?",
    "Is this review about money?",
    "Is the review of {product} about the cost?",
    "Does this review of {product} mention the price?",
    "Does the reviewer talk about the price?",
    "Does the customer write about value for money?",
)
_OPINION_QUESTIONS = {
    "positive": (
        "Is this review positive?",
        "Is the customer happy with {product}?",
        "Does the reviewer recommend {product}?",
    ),
    "negative": ("Is this review negative?", "Is the customer unhappy with {product}?", "Is this a complaint?"),
}


@dataclass(frozen=True)
class Example:
    """A prompt's content (instruction, blank line, JSON object), its answer and the answers to choose from.

    `text` is the one that is asked about, if it is known; other fields may hold other texts.
    """

    kind: str
    content: str
    answer: str
    choices: tuple[str, ...]
    text: Text | None = None

    @property
    def asked(self) -> range:
        """Where in `content` the text stands that is asked about; empty if it is not known."""
        if self.text is None:
            return range(0)
        shown = json.dumps(self.text.text, ensure_ascii=False)[1:-1] if self.kind != "short" else self.text.text
        start = self.content.index(shown)
        return range(start, start + len(shown))


def examples(phrases: Phrases, shares: Sequence[int]) -> Iterator[Example]:
    """Endless examples; `shares` are those of sentiment, price and other yes/no questions."""
    makers = (sentiment_question, price_question, yes_no_question)
    while True:
        yield phrases.rng.choices(makers, shares)[0](phrases)


def write_any(phrases: Phrases) -> Text:
    """A review or tweet of any sentiment, in about half of the cases (partly) about the price."""
    rng = phrases.rng
    others = tuple(t for t in TOPICS if t != "price")
    topics = rng.choice((TOPICS, others, ("price", *rng.sample(others, 2)), ("price",)))
    return write(phrases, rng.choice(_SENTIMENTS), tweet=rng.random() < 0.4, topics=topics)


def short_examples(phrases: Phrases) -> Iterator[Example]:
    """Endless short texts with a word of instruction: what words mean is learnt here at a fraction of the cost."""
    while True:
        text = write_any(phrases)
        if phrases.rng.random() < 0.35:
            yield Example(
                "short", f"Price? {text.text}", "yes" if "price" in text.topics else "no", ("yes", "no"), text
            )
        else:
            yield Example("short", f"Sentiment? {text.text}", text.sentiment, _SENTIMENTS, text)


def sentiment_question(phrases: Phrases, official: float = 0.8) -> Example:
    """Sentiment of a review or of a tweet, mostly with the instruction of the task `classify`."""
    rng = phrases.rng
    labels: tuple[str, ...] = _SENTIMENTS
    instruction = LLMCall("classify", None).instruction
    if rng.random() > official:
        labels = rng.choice(_LABELS)
        instruction = rng.choice((LLMCall("classify", None, labels=labels).instruction, rng.choice(_OWN_SENTIMENT)))
        labels = _SENTIMENTS if instruction in _OWN_SENTIMENT else labels
    sentiment = rng.choices(labels, [40 if label == "neutral" else 36 for label in labels])[0]
    text = write(phrases, sentiment, tweet=rng.random() < 0.55)
    return Example("sentiment", _shuffled(rng, instruction, _fields(phrases, text)), sentiment, labels, text)


def price_question(phrases: Phrases) -> Example:
    """The demo's question, with the product in the instruction."""
    return _ask(phrases, "price", phrases.rng.choice((True, False)), PRICE, "Answer yes or no.")


def yes_no_question(phrases: Phrases) -> Example:
    """The price in other words, or a question about the reviewer's opinion."""
    rng = phrases.rng
    yes, ending = rng.random() < 0.5, rng.choice(_YES_NO)
    if rng.random() < 0.4:
        return _ask(phrases, "price", yes, rng.choice(_PRICE_QUESTIONS), ending)
    asked = rng.choice(_OPINIONS)
    sentiment = asked if yes else rng.choice([s for s in _OPINIONS if s != asked])
    text = write(phrases, sentiment, tweet=False)
    return _yes_no(phrases, text, yes, f"{rng.choice(_OPINION_QUESTIONS[asked])} {ending}")


def _ask(phrases: Phrases, topic: str, yes: bool, question: str, ending: str) -> Example:
    """A question about `topic` of a review that is (partly) about it, or not at all."""
    rng = phrases.rng
    others = tuple(t for t in TOPICS if t != topic)
    while True:
        topics = (topic, *rng.sample(others, 2)) if yes else others
        topics = (topic,) if yes and rng.random() < 0.5 else topics
        text = write(phrases, rng.choice(_SENTIMENTS), tweet=False, topics=topics)
        if (topic in text.topics) == yes:
            return _yes_no(phrases, text, yes, f"{question} {ending}")


def _yes_no(phrases: Phrases, text: Text, yes: bool, question: str) -> Example:
    choices = ("YES", "NO") if "YES" in question else ("yes", "no")
    product = f"{phrases.slot('brand')} {phrases.slot('product')}"
    fields = _fields(phrases, text, product)
    content = _shuffled(phrases.rng, question.replace("{product}", value_text(product)), fields)
    return Example("yes or no", content, choices[0] if yes else choices[1], choices, text)


def _fields(phrases: Phrases, text: Text, product: str | None = None) -> dict[str, str]:
    """The text alone half of the time, else beside a product's description, a title or a rating."""
    rng = phrases.rng
    if rng.random() < (0.55 if product is None else 0.45):
        return {rng.choice(_TEXT_NAMES): text.text}
    fields = {"review": text.text}
    if rng.random() < 0.75:
        fields["description"] = describe(phrases)
    if rng.random() < 0.3:
        fields["product"] = product or phrases.slot("product")
    if rng.random() < 0.1:
        fields["id"] = str(rng.randrange(10_000))
    if rng.random() < 0.08:
        fields["stars"] = {"negative": "1", "neutral": "3", "positive": "5"}[text.sentiment]
    return fields


def _shuffled(rng: random.Random, instruction: str, fields: dict[str, str]) -> str:
    names = list(fields)
    rng.shuffle(names)
    return render(instruction, {name: fields[name] for name in names})


def render(instruction: str, fields: dict[str, str]) -> str:
    """The content of our prompts: instruction, blank line, one JSON object."""
    return f"{instruction}\n\n{json.dumps(fields, ensure_ascii=False)}"
