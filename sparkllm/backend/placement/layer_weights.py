"""Parameters of a model's layers, attention and feed-forward, from config.json: the names differ by family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkllm.errors import ConfigError

__all__ = ["LayerWeights", "layer_weights", "wanted"]

# Families with two feed-forward matrices; all others have three (gated).
_NOT_GATED = ("gpt2", "gptj", "gpt_neox", "gpt_bigcode", "opt", "bloom", "falcon", "phi", "starcoder2", "mpt")
_GATED_ALL_THE_SAME = ("phi3", "phimoe", "falcon_h1")


@dataclass(frozen=True)
class LayerWeights:
    """Of all layers together, except where it says so. Norms and biases are left out: less than a thousandth.

    Attributes:
        dense: parameters every token is multiplied with.
        experts: parameters of all routed experts of a mixture.
        expert_share: share of the routed experts that one token takes, 0..1.
        experts_per_token: how many that are.
        kv_heads: over how many GPUs the KV cache can be cut.
        kv_values: values in the KV cache of one token in one layer.
        attention_width: query-key plus value dimensions of all heads of one layer.
    """

    dense: int
    experts: int
    expert_share: float
    experts_per_token: int
    kv_heads: int
    kv_values: int
    attention_width: int


def layer_weights(config: Mapping[str, Any], layers: int, hidden: int, heads: int) -> LayerWeights:
    """Count them.

    Raises:
        ConfigError: a needed value is missing.
    """
    attention, kv_heads, kv_values, width = _attention(config, hidden, heads)
    experts = _first(config, "num_local_experts", "num_experts", "n_routed_experts") or 0
    if not experts:
        dense = layers * (attention + _feed_forward(config, hidden, _intermediate(config, hidden)))
        return LayerWeights(dense, 0, 0.0, 0, kv_heads, kv_values, width)
    taken = wanted(config, "num_experts_per_tok", "experts_per_token")
    size = _first(config, "moe_intermediate_size") or _intermediate(config, hidden)
    mixed = _mixed_layers(config, layers)
    shared = _first(config, "shared_expert_intermediate_size") or (_first(config, "n_shared_experts") or 0) * size
    dense = layers * attention + mixed * (_feed_forward(config, hidden, shared) + hidden * experts)
    dense += (layers - mixed) * _feed_forward(config, hidden, _intermediate(config, hidden))
    routed = mixed * experts * _feed_forward(config, hidden, size)
    return LayerWeights(dense, routed, taken / experts, taken, kv_heads, kv_values, width)


def _attention(config: Mapping[str, Any], hidden: int, heads: int) -> tuple[int, int, int, int]:
    """Parameters, KV heads, KV values of a token and width, of one layer."""
    if rank := _first(config, "kv_lora_rank"):  # multi-head latent attention (DeepSeek-V2, section 2.1)
        rope, nope = wanted(config, "qk_rope_head_dim"), wanted(config, "qk_nope_head_dim")
        value, query = wanted(config, "v_head_dim"), _first(config, "q_lora_rank")
        ask = query * (hidden + heads * (nope + rope)) if query else hidden * heads * (nope + rope)
        keep = hidden * (rank + rope) + rank * heads * (nope + value)
        return ask + keep + heads * value * hidden, 1, rank + rope, heads * (nope + rope + value)
    size = _first(config, "head_dim") or hidden // heads
    kv_heads = _first(config, "num_key_value_heads", "num_kv_heads") or heads
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        kv_heads = 1
    return 2 * hidden * size * (heads + kv_heads), kv_heads, 2 * kv_heads * size, 2 * heads * size


def _feed_forward(config: Mapping[str, Any], hidden: int, intermediate: int) -> int:
    family = str(config.get("model_type", ""))
    gated = not family.startswith(_NOT_GATED) or family.startswith(_GATED_ALL_THE_SAME)
    return (3 if gated else 2) * hidden * intermediate


def _intermediate(config: Mapping[str, Any], hidden: int) -> int:
    return _first(config, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size") or 4 * hidden


def _mixed_layers(config: Mapping[str, Any], layers: int) -> int:
    """Layers with experts; the others have one feed-forward for all tokens."""
    first = _first(config, "first_k_dense_replace") or 0
    step = _first(config, "decoder_sparse_step", "moe_layer_freq") or 1
    alone = set(config.get("mlp_only_layers") or ())
    return sum(layer >= first and layer not in alone and (layer + 1) % step == 0 for layer in range(layers))


def _first(config: Mapping[str, Any], *names: str) -> int | None:
    return next((int(config[name]) for name in names if isinstance(config.get(name), int | float)), None)


def wanted(config: Mapping[str, Any], *names: str) -> int:
    """The first of these values that is there.

    Raises:
        ConfigError: none is.
    """
    found = _first(config, *names)
    if found is None:
        raise ConfigError(
            f"config.json: expected {' or '.join(names)}, found {', '.join(sorted(config)) or 'nothing'}; "
            f"is it the config of a decoder-only language model?"
        )
    return found
