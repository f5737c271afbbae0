"""Train the shipped model on made-up prompts: to answer, and on the way to know which text is asked about."""

from __future__ import annotations

import math
import random
import time
from itertools import chain, islice

import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

from sparkllm.demo.lessons import LABELS, SHARES, Lesson, batches, pad
from sparkllm.demo.questions import examples, short_examples, write_any
from sparkllm.demo.texts import POLARITIES, Phrases

__all__ = ["learn_words", "train"]

# Stages of the training, cheap ones first: the examples of a batch, and the share of the steps. Before them come words.
SHORT, BRIEF, FULL = (96, 0.1), (64, 0.25), (64, 0.65)
BRIEF_CHARACTERS = 260
WORDS, WORD_BATCH = 400, 512
WARMUP = 0.05
RATE = 1.5e-3
COMPANION_LAYER, COMPANION_WEIGHT = 2, 1.0  # after which every token tells what the text it stands in says
MASKED = 0.15  # of the tokens, in training: an answer must not hang on one rare word


def train(model: LlamaForCausalLM, tokenizer: Tokenizer, seed: int, steps: int) -> None:
    """Train float32 weights for `steps` batches of fresh examples."""
    companion = torch.nn.Linear(model.config.hidden_size, LABELS)
    parameters = [*model.parameters(), *companion.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    phrases = Phrases("training", random.Random(seed))
    if steps:
        learn_words(model, tokenizer, phrases)
    brief = (e for e in examples(phrases, SHARES) if len(e.content) < BRIEF_CHARACTERS)
    sources = ((short_examples(phrases), SHORT), (brief, BRIEF), (examples(phrases, SHARES), FULL))
    some = chain.from_iterable(
        islice(batches(source, tokenizer, size), int(steps * share)) for source, (size, share) in sources
    )
    started, losses = time.monotonic(), []
    masking = model.model.embed_tokens.register_forward_hook(_mask)
    model.train()
    for step, batch in enumerate(some):
        loss = _loss(model, companion, batch)
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
    masking.remove()


def learn_words(model: LlamaForCausalLM, tokenizer: Tokenizer, phrases: Phrases) -> None:
    """Give the embeddings a start: the mean embedding of a text tells its sentiment and whether it is about the price.

    A bag of words (fastText: Joulin et al., 2017) learns in seconds what attention takes minutes to find.
    """
    table = model.model.embed_tokens.weight
    head = torch.nn.Linear(table.shape[1], len(POLARITIES) + 2)
    optimizer = torch.optim.AdamW([table, *head.parameters()], lr=3e-3, weight_decay=0.05)
    for _ in range(WORDS):
        texts = [write_any(phrases) for _ in range(WORD_BATCH)]
        ids = [torch.tensor(e.ids) for e in tokenizer.encode_batch([t.text for t in texts], add_special_tokens=False)]
        starts = torch.tensor([0, *(len(i) for i in ids[:-1])]).cumsum(0)
        kept = (torch.rand(sum(map(len, ids))) > 2 * MASKED).float()
        bags = torch.nn.functional.embedding_bag(torch.cat(ids), table, starts, mode="sum", per_sample_weights=kept)
        logits = head(10 * bags / torch.tensor([[len(i)] for i in ids]))
        polarity = torch.tensor([POLARITIES.index(t.sentiment) for t in texts])
        price = torch.tensor([int("price" in t.topics) for t in texts])
        loss = cross_entropy(logits[:, :-2], polarity) + cross_entropy(logits[:, -2:], price)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"words: loss {loss.item():.3f}", flush=True)


def _mask(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """Some tokens without content."""
    return output * (torch.rand(output.shape[:2]) > MASKED).unsqueeze(-1)


def _rate(step: int, steps: int) -> float:
    """Warm up, then fall along a cosine to 5 %."""
    if step < WARMUP * steps:
        return (step + 1) / (WARMUP * steps)
    done = (step - WARMUP * steps) / (steps - WARMUP * steps)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2


def _loss(model: LlamaForCausalLM, companion: torch.nn.Linear, batch: list[Lesson]) -> torch.Tensor:
    """Mean loss of the last two tokens, and of the companion, which tells each token's label on the way.

    That only one of the fields counts takes thousands of steps to learn from the answers alone (companion objectives:
    Lee et al., Deeply-Supervised Nets, 2015). Padding is on the right, where a causal model does not look.
    """
    ids = pad(lesson.ids for lesson in batch)
    lengths = torch.tensor([len(lesson.ids) for lesson in batch])[:, None]
    with torch.autocast("cpu", torch.bfloat16):  # weights and sums stay float32
        outputs = model.model(input_ids=ids, output_hidden_states=True)
    rows, ends = torch.arange(len(batch))[:, None], lengths - torch.tensor([[2, 1]])
    logits = outputs.last_hidden_state.float()[rows, ends - 1] @ model.lm_head.weight.T
    real = torch.arange(ids.shape[1]) < lengths - 2
    told = companion(outputs.hidden_states[COMPANION_LAYER].float()[real])
    labels = pad(lesson.labels for lesson in batch)[real]
    answers = cross_entropy(logits.flatten(0, 1), ids[rows, ends].flatten())
    return answers + COMPANION_WEIGHT * cross_entropy(told, labels)
