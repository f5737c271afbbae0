"""Make the shipped model: `python -m sparkllm.demo.make_model OUT [--steps N]`.

One seed, one order, two threads: a second run on the same kind of machine gives the same bytes. Half an hour.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from sparkllm.demo.lessons import corpus
from sparkllm.demo.tokenizer import BOS, END, MAX_LENGTH, PAD, save_tokenizer, train_tokenizer
from sparkllm.demo.train import train

__all__ = ["MOST_BYTES", "build", "main", "save"]

SEED = 20
STEPS = 4000
MOST_BYTES = 9_000_000


def build(tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A Llama with random weights, float32, of about 3 million parameters."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    return LlamaForCausalLM(config)


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path) -> None:
    """Write the model in bfloat16 beside `out`, then swap: `out` is a whole model at every moment.

    Raises:
        ValueError: the folder would be larger than MOST_BYTES.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    fresh.chmod(0o755)
    model.to(torch.bfloat16).save_pretrained(fresh)
    config = model.config
    GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    ).save_pretrained(fresh)
    save_tokenizer(tokenizer, fresh)
    for file in fresh.iterdir():
        file.chmod(0o644)
    size = sum(f.stat().st_size for f in fresh.iterdir())
    if size > MOST_BYTES:
        raise ValueError(f"expected at most {MOST_BYTES:,} bytes, got {size:,} in {fresh}")
    old = out.with_name(f".{out.name}-old")
    if out.exists():
        os.replace(out, old)
    os.replace(fresh, out)
    shutil.rmtree(old, ignore_errors=True)
    print(f"{out}: {size:,} bytes, {model.num_parameters():,} parameters")


def main() -> None:
    """Make the tokenizer and the model, train it, write it to OUT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS, help="batches of training; 0 leaves random weights")
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)  # sums depend on how many threads share them
    tokenizer = train_tokenizer(corpus(SEED))
    model = build(tokenizer)
    train(model, tokenizer, SEED + 1, arguments.steps)
    save(model, tokenizer, arguments.out)


if __name__ == "__main__":
    main()
