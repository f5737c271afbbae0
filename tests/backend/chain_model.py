"""A Llama whose weights are written down: each token is followed by one that is chosen here, whatever stood before."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer

from .made_up_models import made_up_model

__all__ = ["chain_model"]

_HIDDEN = 512  # as many as tokens, at least: each has a direction of its own


def chain_model(folder: Path, template: str, tokenizer: Tokenizer, following: Mapping[str, str]) -> Path:
    """A model folder with weights.

    Args:
        folder: is made.
        template: the chat template.
        tokenizer: of at most 512 tokens, `<|im_end|>` among them, which ends an answer and follows all others.
        following: text -> text behind it: the last token of the one is followed by those of the other, one by one.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    made_up_model(folder, template, tokenizer)
    (end,) = tokenizer.encode("<|im_end|>", add_special_tokens=False).ids
    config = LlamaConfig(
        vocab_size=_HIDDEN,
        hidden_size=_HIDDEN,
        intermediate_size=_HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=8,
        max_position_embeddings=512,
        eos_token_id=end,
        bos_token_id=tokenizer.token_to_id("<s>"),
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:  # changes nothing
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(_HIDDEN))
        model.lm_head.weight.zero_()
        for token, after in _steps(tokenizer, following, end).items():
            model.lm_head.weight[after, token] = 1.0
    model.save_pretrained(folder)
    return folder


def _steps(tokenizer: Tokenizer, following: Mapping[str, str], end: int) -> dict[int, int]:
    steps: dict[int, int] = {}
    for before, after in following.items():
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in (before, after)]
        chain = [ids[0][-1], *ids[1]]
        for token, next_ in pairwise(chain):
            assert steps.setdefault(token, next_) == next_, f"two tokens cannot follow {tokenizer.id_to_token(token)!r}"
    return {token: steps.get(token, end) for token in range(_HIDDEN)}
