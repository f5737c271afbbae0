"""A small Llama that goes on as the text before did: what extraction and rewriting do with their input.

    python bench/make_copying_model.py OUT [--layers 9]

Its weights are written down, not trained: an induction circuit (Olsson et al. 2022, arXiv 2209.11895). The first
layer's heads look one, two and three tokens back; the second layer's head looks for the place whose three tokens before
it are the last three, and says what stands there. Asked for `{"text": "..."}` it copies the field of that name out of
its prompt, whatever the table; it knows no language. Further layers change nothing and take their time: a step costs
what one of a random model of the same shape does.
"""

from __future__ import annotations

import argparse
import math
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

from make_random_model import Shape, demo_config

__all__ = ["make_copying_model"]

_HIDDEN, _HEAD = 512, 256
_BASE = 1e8  # of the rotary embedding: the slower half of a head's pairs hardly turns within 2,000 tokens
_SLOW = _HEAD // 4  # the first such pair
_SIZES = {"last": 64, "second": 40, "third": 24}  # dimensions that tell a token apart when it is so far back
_SHARPNESS = 30.0
_WEIGHTS = {"last": 1.0, "second": 0.7, "third": 0.5}  # of a match of each

# Where in the residual stream what stands; the constant feeds the heads that look back.
_TOKEN = dict(zip(_SIZES, ((0, 64), (64, 104), (104, 128)), strict=True))
_CONSTANT = 128
_BACK = {1: (136, {"last": 136, "second": 200}), 2: (240, {"second": 240, "third": 280}), 3: (304, {"third": 304})}
_ANSWER = 328


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=9)
    args = parser.parse_args()
    make_copying_model(args.out, args.layers)


def make_copying_model(out: Path, layers: int = 9) -> None:
    """Write the model to the folder `out`; two layers at least."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    with resources.as_file(resources.files("sparkllm") / "demo" / "model") as folder:
        config = demo_config(folder, Shape(_HIDDEN, layers, 4, 4, _HIDDEN * 11 // 4))
        config.head_dim, config.tie_word_embeddings = _HEAD, False
        config.rope_theta = _BASE
        if getattr(config, "rope_parameters", None):
            config.rope_parameters = {"rope_type": "default", "rope_theta": _BASE}
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            _write(model)
        model.to(torch.bfloat16).save_pretrained(out)
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copy(folder / name, out / name)


def _write(model: Any) -> None:
    import torch

    layers, tokens = model.model.layers, torch.zeros(model.config.vocab_size, _HIDDEN)
    for start, end in _TOKEN.values():
        names = torch.randn(len(tokens), end - start)
        tokens[:, start:end] = names / names.norm(dim=1, keepdim=True)
    model.model.embed_tokens.weight.copy_(tokens)
    model.model.embed_tokens.weight[:, _CONSTANT] = 1.0
    model.lm_head.weight.zero_()
    model.lm_head.weight[:, _ANSWER : _ANSWER + _CONSTANT] = 3.0 * tokens[:, :_CONSTANT]
    for layer in layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    _look_back(layers[0].self_attn, size=math.sqrt(3 + 1))
    # The token, the constant, and two, two and one parts of those before it.
    _look_for_the_same(layers[1].self_attn, size=math.sqrt(3 + 1 + 2 + 2 + 1))


def _look_back(attention: Any, size: float) -> None:
    """Head h - 1 copies parts of the token h back: its scores fall with the distance from there.

    `size` is the length of the residual stream, by which RMSNorm divides, but for the square root of the width.
    """
    unit = size / math.sqrt(_HIDDEN)  # what a 1 in the residual stream has become, inverted
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight.zero_()
    half, strength = _HEAD // 2, math.sqrt(_SHARPNESS * math.sqrt(_HEAD))
    for back, (_, parts) in _BACK.items():
        start = (back - 1) * _HEAD
        for pair in range(_SLOW):
            turn = back * _BASE ** (-pair / half)
            attention.q_proj.weight[start + pair, _CONSTANT] = strength * unit * math.cos(turn)
            attention.q_proj.weight[start + half + pair, _CONSTANT] = -strength * unit * math.sin(turn)
            attention.k_proj.weight[start + pair, _CONSTANT] = strength * unit
        for part, to in parts.items():
            low, high = _TOKEN[part]
            for i in range(high - low):
                attention.v_proj.weight[start + low + i, low + i] = unit
                attention.o_proj.weight[to + i, start + low + i] = 1.0


def _look_for_the_same(attention: Any, size: float) -> None:
    """Head 0 compares the last three tokens with the three before each place, and copies the token there."""
    unit = size / math.sqrt(_HIDDEN)
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight.zero_()
    here = {"last": _TOKEN["last"][0], "second": _BACK[1][1]["second"], "third": _BACK[2][1]["third"]}
    there = {"last": _BACK[1][1]["last"], "second": _BACK[2][1]["second"], "third": _BACK[3][1]["third"]}
    strength, half = math.sqrt(_SHARPNESS * math.sqrt(_HEAD)), _HEAD // 2
    slow = [*range(_SLOW, half), *range(half + _SLOW, _HEAD)]
    at = 0
    for part, width in _SIZES.items():
        for i in range(width):
            attention.q_proj.weight[slow[at], here[part] + i] = strength * unit * _WEIGHTS[part]
            attention.k_proj.weight[slow[at], there[part] + i] = strength * unit
            at += 1
    for i in range(_CONSTANT):
        attention.v_proj.weight[i, i] = unit
        attention.o_proj.weight[_ANSWER + i, i] = 1.0


if __name__ == "__main__":
    main()
