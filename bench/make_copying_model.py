"""A small Llama that goes on as the text before did: what extraction and rewriting do with their input.

python bench/make_copying_model.py OUT [--steps 3000]

It is trained on nothing but token sequences made by chance, pieces of which return (induction, Olsson et al. 2022,
arXiv 2209.11895), with the demo model's tokenizer. Asked for `{"text": "..."}` it copies the field of that name out of
its prompt, whatever the table; it knows no language.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
from make_random_model import Shape, demo_config

__all__ = ["sequences"]

_FIRST = 8  # token ids below are special


def sequences(rng: np.random.Generator, number: int, length: int, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, whether a token is one that a piece's return makes known), both (number, length).

    Words come as in languages, few of them often, so that one token alone does not tell where a piece goes on.
    """
    tokens = np.zeros((number, length), dtype=np.int64)
    known = np.zeros((number, length), dtype=bool)
    for i in range(number):
        words = rng.integers(_FIRST, vocabulary, int(rng.integers(20, 400)))
        chances = 1.0 / np.arange(1, len(words) + 1) ** rng.uniform(0.0, 1.0)
        tokens[i] = rng.choice(words, length, p=chances / chances.sum())
        at = int(rng.integers(length // 4, length // 2))
        while at < length:
            size = int(rng.integers(6, 64))
            start = int(rng.integers(0, max(1, at - size)))
            end = min(length, at + size, at + at - start)
            tokens[i, at:end] = tokens[i, start : start + end - at]
            known[i, at + 3 : end] = True
            at = end + int(rng.integers(1, 8))
    return tokens, known


def main() -> None:
    """The command line."""
    import torch
    from transformers import LlamaForCausalLM

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--length", type=int, default=192)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    with resources.as_file(resources.files("sparkllm") / "demo" / "model") as folder:
        heads = args.hidden // 64
        config = demo_config(folder, Shape(args.hidden, args.layers, heads, heads, 2 * args.hidden), dtype="float32")
        model = LlamaForCausalLM(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.rate, total_steps=args.steps, pct_start=0.1)
        began = time.monotonic()
        for step in range(args.steps):
            tokens, known = map(torch.from_numpy, sequences(rng, args.batch, args.length, config.vocab_size))
            scores = model(input_ids=tokens).logits[:, :-1][known[:, 1:]]
            wanted = tokens[:, 1:][known[:, 1:]]
            loss = torch.nn.functional.cross_entropy(scores, wanted)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 0 or step == args.steps - 1:
                right = float((scores.argmax(-1) == wanted).float().mean())
                seconds = time.monotonic() - began
                print(
                    f"step {step}: {right:.1%} of the known tokens, loss {loss:.2f}, {seconds:.0f} s", file=sys.stderr
                )
        model.to(torch.bfloat16).save_pretrained(args.out)
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copy(folder / name, args.out / name)


if __name__ == "__main__":
    main()
