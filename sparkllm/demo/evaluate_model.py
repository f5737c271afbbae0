"""How often the shipped model is right: `python -m sparkllm.demo.evaluate_model [MODEL]`.

Held-out texts are made from sentences, products and names by an author who had not seen the training's; validation is
the set by which steps and mixture were chosen. Then the reviews that are shipped and, where the folder SPARKLLM_DATA
has it, airline_tweets.csv. The answer is the allowed label whose token has the largest logit.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from sparkllm.calls import LLMCall
from sparkllm.demo.lessons import pad, prompt
from sparkllm.demo.questions import Example, price_question, render, sentiment_question, yes_no_question
from sparkllm.demo.texts import Phrases

__all__ = ["accuracy", "answer", "balanced_accuracy", "main", "majority"]

DEMO = Path(__file__).parent
OPINIONS = ("negative", "positive")


def answer(model: LlamaForCausalLM, tokenizer: Tokenizer, examples: Sequence[Example], batch: int = 64) -> list[str]:
    """The model's answer to each example, among the example's choices."""
    answers: list[str] = [""] * len(examples)
    ids = [e.ids for e in tokenizer.encode_batch([prompt(e.content) for e in examples], add_special_tokens=False)]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    for at in range(0, len(order), batch):
        some = order[at : at + batch]
        ends = torch.tensor([len(ids[i]) - 1 for i in some])
        with torch.inference_mode():
            hidden = model.model(input_ids=pad([ids[i] for i in some])).last_hidden_state
            logits = hidden[torch.arange(len(some)), ends] @ model.lm_head.weight.T
        for row, i in zip(logits, some, strict=True):
            answers[i] = max(examples[i].choices, key=lambda word: float(row[tokenizer.token_to_id(word)]))
    return answers


def accuracy(examples: Sequence[Example], answers: Sequence[str]) -> float:
    """Share of right answers."""
    return sum(e.answer == a for e, a in zip(examples, answers, strict=True)) / len(examples)


def balanced_accuracy(examples: Sequence[Example], answers: Sequence[str]) -> float:
    """Mean over the labels of the share of right answers among the examples of that label."""
    shares = []
    for label in sorted({e.answer for e in examples}):
        right = [e.answer == a for e, a in zip(examples, answers, strict=True) if e.answer == label]
        shares.append(sum(right) / len(right))
    return sum(shares) / len(shares)


def majority(examples: Sequence[Example]) -> float:
    """Accuracy of always giving the most frequent label."""
    return Counter(e.answer for e in examples).most_common(1)[0][1] / len(examples)


def made_up(name: str, count: int = 1000) -> dict[str, list[Example]]:
    """Texts from the phrases of one set."""
    phrases = Phrases(name, random.Random(7))
    return {
        f"{name}: sentiment": [sentiment_question(phrases, official=1.0) for _ in range(count)],
        f"{name}: about the price?": [price_question(phrases) for _ in range(count)],
        f"{name}: other yes/no": [yes_no_question(phrases) for _ in range(count)],
    }


def shipped(path: Path = DEMO / "reviews.csv") -> dict[str, list[Example]]:
    """The shipped reviews with 1-2 stars (negative) and 4-5 stars (positive)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["review"] and r["stars"] not in ("", "3")]
    return {"reviews.csv: 1-2 or 4-5 stars": [_opinion("review", r["review"], int(r["stars"]) > 3) for r in rows]}


def tweets(path: Path) -> dict[str, list[Example]]:
    """Real tweets with a human label, positive and negative ones only."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["airline_sentiment"] in OPINIONS]
    return {
        f"{path.name}: positive or negative": [
            _opinion("text", r["text"], r["airline_sentiment"] == "positive") for r in rows
        ]
    }


def _opinion(field: str, text: str, positive: bool) -> Example:
    instruction = LLMCall("classify", None).instruction
    return Example("sentiment", render(instruction, {field: text}), OPINIONS[positive], OPINIONS)


def main() -> None:
    """Print accuracy and balanced accuracy beside the majority baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=DEMO / "model")
    folder = parser.parse_args().model
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tables = made_up("held_out") | made_up("validation") | (shipped() if (DEMO / "reviews.csv").exists() else {})
    real = Path(os.environ.get("SPARKLLM_DATA", "")) / "airline_tweets.csv"
    tables |= tweets(real) if real.exists() else {}
    print(f"{'':44}{'rows':>6} {'right':>7} {'balanced':>9} {'majority':>9}")
    for name, examples in tables.items():
        answers = answer(model, tokenizer, examples)
        scores = accuracy(examples, answers), balanced_accuracy(examples, answers), majority(examples)
        print("{:44}{:6} {:7.1%} {:9.1%} {:9.1%}".format(name, len(examples), *scores), flush=True)


if __name__ == "__main__":
    main()
