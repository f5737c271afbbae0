"""How many bits a model's weights take, and in which numbers they are multiplied, from `quantization_config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkllm.errors import ConfigError

__all__ = ["Quantisation", "quantisation"]

_SCALE_BITS = 16
_INT4_GROUP = 128  # weights that share a scale and a zero, where the config does not say


@dataclass(frozen=True)
class Quantisation:
    """Of the layers' weights; embeddings and head stay as they were.

    Attributes:
        bits: of one weight, its part of the scales included.
        number_type: in which matrices are multiplied, one of `gpu.NUMBER_TYPES`; the model's own type where weights
            are only stored in fewer bits.
    """

    bits: float
    number_type: str


def quantisation(config: Mapping[str, Any], dtype: str) -> Quantisation:
    """What a Hugging Face config.json says.

    Args:
        config: of the model.
        dtype: `fp16` or `bf16`, what unquantised weights are in.

    Raises:
        ConfigError: a method that is not known here.

    >>> quantisation({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}, "bf16")
    Quantisation(bits=4.15625, number_type='bf16')
    """
    told = config.get("quantization_config") or config.get("compression_config")
    if not told:
        return Quantisation(16, dtype)
    method = str(told.get("quant_method", "")).removesuffix("_marlin")
    if method == "fp8":
        return Quantisation(8, "fp8")
    if method in ("awq", "gptq"):
        bits = told.get("bits", told.get("w_bit", 4))
        return Quantisation(_grouped(bits, told.get("group_size") or _INT4_GROUP), dtype)
    if method == "bitsandbytes":
        return Quantisation(8, "int8") if told.get("load_in_8bit") else Quantisation(4.5, dtype)
    if method == "mxfp4":
        return Quantisation(4.25, dtype)  # 8 bits of scale for 32 weights
    if method == "modelopt":
        algorithm = str(told.get("quant_algo", "")).upper()
        return Quantisation(4.5, "fp4") if "FP4" in algorithm else Quantisation(8, "fp8")
    if method == "compressed-tensors":
        return _compressed_tensors(told, dtype)
    raise ConfigError(
        f"quantization_config.quant_method: expected fp8, awq, gptq, bitsandbytes, mxfp4, modelopt or "
        f"compressed-tensors, found {method!r}; give the throughput as measured rows instead"
    )


def _compressed_tensors(told: Mapping[str, Any], dtype: str) -> Quantisation:
    group: Mapping[str, Any] = next(iter((told.get("config_groups") or {}).values()), {})
    weights = group.get("weights") or {}
    bits, kind = weights.get("num_bits", 8), weights.get("type", "float")
    size = weights.get("group_size") or 0
    if not group.get("input_activations"):  # stored in fewer bits, multiplied in 16
        return Quantisation(_grouped(bits, size), dtype)
    return Quantisation(_grouped(bits, size), {("float", 8): "fp8", ("int", 8): "int8"}.get((kind, bits), "fp4"))


def _grouped(bits: float, group: int) -> float:
    """With a scale and a zero for each group; one scale for a whole row is nothing."""
    return bits + (_SCALE_BITS + bits) / group if group > 0 else bits
