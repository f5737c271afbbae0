"""A Llama with random weights and the demo model's tokenizer, of any size: answers mean nothing, the work is real.

python bench/make_random_model.py OUT [--shape 29m | 1b | 1.5b | 8b] [--hidden 512] [--layers 9] [--config-only]

The shapes are those of known models without their large vocabularies, which prompts do not pay for. With --config-only
the folder has no weights: vLLM makes them itself (`load_format="dummy"`), and the folder has some hundred kilobytes.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

__all__ = ["SHAPES", "Shape", "demo_config", "make_random_model"]


@dataclass(frozen=True)
class Shape:
    """What the work of a token depends on; named as in transformers' LlamaConfig."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int

    @classmethod
    def of(cls, hidden: int, layers: int) -> Shape:
        """Heads of 64, two to a key-value head."""
        return cls(hidden, layers, hidden // 64, max(1, hidden // 128), hidden * 11 // 4)


SHAPES = {
    "29m": Shape.of(512, 9),
    "1b": Shape(2048, 16, 32, 8, 8192),  # Llama 3.2 1B
    "1.5b": Shape(1536, 28, 12, 2, 8960),  # Qwen2.5 1.5B
    "8b": Shape(4096, 32, 32, 8, 14336),  # Llama 3.1 8B
}


def demo_config(folder: Path, shape: Shape, dtype: str = "bfloat16") -> Any:
    """A Llama's configuration for the tokenizer of the demo model in `folder`."""
    from transformers import LlamaConfig

    old = LlamaConfig.from_pretrained(folder)
    return LlamaConfig(
        **asdict(shape),
        vocab_size=old.vocab_size,
        max_position_embeddings=old.max_position_embeddings,
        tie_word_embeddings=True,
        bos_token_id=old.bos_token_id,
        eos_token_id=old.eos_token_id,
        pad_token_id=old.pad_token_id,
        architectures=["LlamaForCausalLM"],
        dtype=dtype,
    )


def make_random_model(out: Path, shape: Shape = SHAPES["29m"], seed: int = 0, weights: bool = True) -> int:
    """Write the model to the folder `out`; return its number of parameters (30 million by default)."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    demo = resources.files("sparkllm") / "demo" / "model"
    with resources.as_file(demo) as folder:
        config = demo_config(folder, shape)
        with torch.device("cpu" if weights else "meta"):
            model = LlamaForCausalLM(config)
        if weights:
            model.to(torch.bfloat16).save_pretrained(out)
        else:
            config.save_pretrained(out)
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copy(folder / name, out / name)
    return int(model.num_parameters())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=list(SHAPES), help="of a known model; instead of --hidden and --layers")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=9)
    parser.add_argument("--config-only", action="store_true", help="no weights: for vLLM's load_format=dummy")
    args = parser.parse_args()
    shape = SHAPES[args.shape] if args.shape else Shape.of(args.hidden, args.layers)
    parameters = make_random_model(args.out, shape, weights=not args.config_only)
    print(f"{args.out}: {parameters:,} parameters{' (not written)' if args.config_only else ''}")


if __name__ == "__main__":
    main()
