"""Train the shipped model on made-up prompts; only the answer and its <|end|> count in the loss."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

from sparkllm.demo.questions import Example, examples, short_examples
from sparkllm.demo.texts import Phrases
from sparkllm.demo.tokenizer import ASSISTANT, BOS, END, USER

__all__ = ["corpus", "prompt", "train"]

BATCH = 32
STAGES = (
    0.25,
    0.45,
    0.3,
)  # of the steps: bare texts, brief prompts of the main questions, all prompts; cheap ones first
BRIEF = 260  # characters
MAIN, ALL = (1, 1, 0), (5, 3, 2)  # shares of sentiment, price and other yes/no questions
BUCKET = 32  # batches sorted by length together: little padding, still random
WARMUP = 0.05
RATE = 1.5e-3


def prompt(content: str) -> str:
    """The chat template's text of one user message, up to where the answer starts."""
    return f"{BOS}{USER}\n{content}{END}\n{ASSISTANT}\n"


def corpus(seed: int, count: int = 30_000) -> Iterator[str]:
    """Texts for the tokenizer: whole prompts with their answers."""
    for example in islice(examples(Phrases("phrases.toml", random.Random(seed)), ALL), count):
        yield f"{prompt(example.content)}{example.answer}{END}"


def train(model: LlamaForCausalLM, tokenizer: Tokenizer, seed: int, steps: int) -> None:
    """Train float32 weights for `steps` batches, each of BATCH fresh examples."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    phrases = Phrases("phrases.toml", random.Random(seed))
    sources = (
        short_examples(phrases),
        (e for e in examples(phrases, MAIN) if len(e.content) < BRIEF),
        examples(phrases, ALL),
    )
    counts = [int(steps * share) for share in STAGES]
    batches = chain.from_iterable(
        islice(_batches(source, tokenizer), count) for source, count in zip(sources, counts, strict=True)
    )
    started, losses = time.monotonic(), []
    model.train()
    for step, batch in enumerate(batches):
        loss = _loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 99:
            print(
                f"step {step + 1}/{steps} loss {sum(losses[-100:]) / 100:.4f} {time.monotonic() - started:.0f} s",
                flush=True,
            )
    model.eval()


def _rate(step: int, steps: int) -> float:
    """Warm up, then fall along a cosine to 5 %."""
    if step < WARMUP * steps:
        return (step + 1) / (WARMUP * steps)
    done = (step - WARMUP * steps) / (steps - WARMUP * steps)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2


def _batches(source: Iterator[Example], tokenizer: Tokenizer) -> Iterator[list[list[int]]]:
    """Token ids of prompt, answer and <|end|>; each batch holds prompts of about one length."""
    shuffle = random.Random(0)
    while True:
        texts = [f"{prompt(e.content)}{e.answer}{END}" for e in islice(source, BATCH * BUCKET)]
        ids = sorted((e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)), key=len)
        batches = [ids[at : at + BATCH] for at in range(0, len(ids), BATCH)]
        shuffle.shuffle(batches)
        yield from batches


def _loss(model: LlamaForCausalLM, batch: list[list[int]]) -> torch.Tensor:
    """Mean loss of the last two tokens. Padding is on the right, where a causal model does not look."""
    ids = pad(batch)
    with torch.autocast("cpu", torch.bfloat16):  # weights and sums stay float32
        hidden = model.model(input_ids=ids).last_hidden_state.float()
    ends = torch.tensor([len(row) for row in batch])[:, None] - torch.tensor([[2, 1]])
    rows = torch.arange(len(batch))[:, None]
    logits = hidden[rows, ends - 1] @ model.lm_head.weight.T
    return cross_entropy(logits.flatten(0, 1), ids[rows, ends].flatten())


def pad(rows: Iterable[list[int]]) -> torch.Tensor:
    """Rows of ids as one (rows, longest) tensor, zeros on the right."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
