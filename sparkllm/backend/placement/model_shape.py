"""What the throughput of a model depends on, from its Hugging Face config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkllm.backend.placement.layer_weights import LayerWeights, layer_weights, wanted
from sparkllm.backend.placement.quantisation import Quantisation, quantisation
from sparkllm.errors import ConfigError

__all__ = ["ModelShape"]

# Families whose output layer is their input embedding even where config.json does not say so.
_TIED = ("gemma", "gpt2", "opt", "bloom")


@dataclass(frozen=True)
class ModelShape:
    """Counts of one model; bytes are of the whole model, however many GPUs it is spread over.

    Attributes:
        name: as measured rates name it.
        layers, hidden, heads: as in config.json.
        weights: parameters of the layers.
        vocabulary: parameters of the embedding, or of the head: tokens * hidden.
        tied: head and embedding are one.
        kv_heads: over how many GPUs the KV cache of one sequence can be cut.
        kv_values: values that one token keeps in the KV cache, all layers.
        attention_width: query-key plus value dimensions of all heads of one layer: two operations for each of them,
            token and earlier token.
        quantisation: of the layers.
        dtype: `fp16` or `bf16`, of everything else.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    weights: LayerWeights
    vocabulary: int
    tied: bool
    kv_heads: int
    kv_values: int
    attention_width: int
    quantisation: Quantisation
    dtype: str

    @classmethod
    def from_folder(cls, folder: str | Path, name: str = "") -> ModelShape:
        """From `config.json` in a model's folder.

        Raises:
            ConfigError: there is none, or it is not one of a decoder-only language model.
        """
        path = Path(folder) / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: expected a Hugging Face config.json, found: {error}") from error
        return cls.from_config(config, name or str(folder))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str) -> ModelShape:
        """From the values of a config.json; a model with vision or audio is taken for its language model alone.

        Limits: sliding windows and layers without attention are not looked at, so their KV cache counts as full.

        Raises:
            ConfigError: a needed value is missing, or the quantisation is not known.
        """
        text = {**config, **(config.get("text_config") or {})}
        layers = wanted(text, "num_hidden_layers", "n_layer", "n_layers")
        hidden = wanted(text, "hidden_size", "n_embd", "d_model")
        heads = wanted(text, "num_attention_heads", "n_head", "n_heads")
        weights = layer_weights(text, layers, hidden, heads)
        family = str(text.get("model_type", ""))
        dtype = "fp16" if text.get("torch_dtype", text.get("dtype")) == "float16" else "bf16"
        return cls(
            name=name,
            layers=layers,
            hidden=hidden,
            heads=heads,
            weights=weights,
            vocabulary=wanted(text, "vocab_size") * hidden,
            tied=bool(text.get("tie_word_embeddings", family.startswith(_TIED))),
            kv_heads=weights.kv_heads,
            kv_values=layers * weights.kv_values,
            attention_width=weights.attention_width,
            quantisation=quantisation(text, dtype),
            dtype=dtype,
        )

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.weights.dense + self.weights.experts + self.vocabulary * (1 if self.tied else 2)

    @property
    def weight_bytes(self) -> float:
        """Memory of all weights."""
        layers = (self.weights.dense + self.weights.experts) * self.quantisation.bits / 8
        return layers + self.vocabulary * (1 if self.tied else 2) * 2

    @property
    def active(self) -> float:
        """Parameters of the layers that one token is multiplied with: all, or a mixture's active share."""
        return self.weights.dense + self.weights.experts * self.weights.expert_share

    def bytes_read(self, tokens: float) -> float:
        """Weights that one step over `tokens` tokens reads: layers and head, and the experts that any of them picks."""
        picked = 1 - (1 - self.weights.expert_share) ** tokens
        return (self.weights.dense + self.weights.experts * picked) * self.quantisation.bits / 8 + self.vocabulary * 2
