"""A Llama with random weights and the demo model's tokenizer, of any size: answers mean nothing, the work is real.

python bench/make_random_model.py OUT [--hidden 512] [--layers 9]
"""

from __future__ import annotations

import argparse
import shutil
from importlib import resources
from pathlib import Path

__all__ = ["make_random_model"]


def make_random_model(out: Path, hidden: int = 512, layers: int = 9, seed: int = 0) -> int:
    """Write the model to the folder `out`; return its number of parameters (30 million by default)."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    demo = resources.files("sparkllm") / "demo" / "model"
    with resources.as_file(demo) as folder:
        old = LlamaConfig.from_pretrained(folder)
        config = LlamaConfig(
            vocab_size=old.vocab_size,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=hidden // 64,
            num_key_value_heads=max(1, hidden // 128),
            intermediate_size=hidden * 11 // 4,
            max_position_embeddings=old.max_position_embeddings,
            tie_word_embeddings=True,
            bos_token_id=old.bos_token_id,
            eos_token_id=old.eos_token_id,
            pad_token_id=old.pad_token_id,
        )
        model = LlamaForCausalLM(config).to(torch.bfloat16)
        model.save_pretrained(out)
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copy(folder / name, out / name)
    return int(model.num_parameters())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("out", type=Path)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=9)
    args = parser.parse_args()
    print(f"{args.out}: {make_random_model(args.out, args.hidden, args.layers):,} parameters")


if __name__ == "__main__":
    main()
