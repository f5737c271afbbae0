"""Counts from config.json against what the models' makers publish, and against a real file of weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

import sparkllm
from sparkllm.backend.placement import ModelShape
from sparkllm.errors import ConfigError
from tests.backend.placement.public_figures import about

DEMO = Path(sparkllm.__file__).parent / "demo" / "model"
LLAMA = about()["models"]["Llama-3.1-8B"]
# Values of the published config.json files, as far as they are counted; parameters in 10^9, all and active, as named by
# the makers in the models' cards.
QWEN3_30B = about()["models"]["Qwen3-30B-A3B"]
QWEN3_06B = {
    "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936,
    "tie_word_embeddings": True,
}  # fmt: skip
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
    "num_key_value_heads": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256,
    "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3, "moe_layer_freq": 1,
    "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128,
    "vocab_size": 129280, "tie_word_embeddings": False,
    "quantization_config": {"quant_method": "fp8"},
}  # fmt: skip
GPT2 = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257}


@pytest.mark.parametrize(
    ("config", "billions", "active"),
    [
        (LLAMA, 8.03, 8.03),
        (about()["models"]["Llama-3.1-70B"], 70.55, 70.55),
        (about()["models"]["Mistral-7B"], 7.24, 7.24),
        (about()["models"]["Mixtral-8x7B"], 46.7, 12.9),
        (about()["models"]["Llama-3.1-405B"], 405.9, 405.9),
        (QWEN3_30B, 30.5, 3.3),
        (QWEN3_06B, 0.6, 0.6),
        (DEEPSEEK_V3, 671, 37),
        (GPT2, 0.124, 0.124),
    ],
)  # fmt: skip
def test_parameters_are_those_that_the_makers_name(config: dict[str, Any], billions: float, active: float) -> None:
    model = ModelShape.from_config(config, "m")
    assert model.parameters / 1e9 == pytest.approx(billions, rel=0.015)
    vocabulary = model.vocabulary * (1 if model.tied else 2)
    assert (model.active + vocabulary) / 1e9 == pytest.approx(active, rel=0.03)


def test_the_weights_of_the_shipped_model_are_counted_to_a_thousandth() -> None:
    with (DEMO / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(length))
    sizes = [end - start for start, end in (t["data_offsets"] for k, t in tensors.items() if k != "__metadata__")]
    assert ModelShape.from_folder(DEMO).weight_bytes == pytest.approx(sum(sizes), rel=1e-3)


def test_a_token_of_llama_8b_keeps_128_kib_and_of_deepseek_70_kb() -> None:
    assert 2 * ModelShape.from_config(LLAMA, "m").kv_values == 128 * 1024
    assert 2 * ModelShape.from_config(DEEPSEEK_V3, "m").kv_values == 61 * 576 * 2  # DeepSeek-V2, table 1


@pytest.mark.parametrize(
    ("told", "bits", "number_type"),
    [
        (None, 16, "bf16"),
        ({"quant_method": "fp8"}, 8, "fp8"),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8, "bf16"),
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, 4 + 20 / 64, "bf16"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8, "int8"),
        ({"quant_method": "mxfp4"}, 4.25, "bf16"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4.5, "fp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 8, "fp8"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {
                "weights": {"num_bits": 8, "type": "int"}, "input_activations": {"num_bits": 8}}}},
            8, "int8",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {
                "weights": {"num_bits": 4, "type": "int", "group_size": 128}, "input_activations": None}}},
            4 + 20 / 128, "bf16",
        ),
    ],
)  # fmt: skip
def test_quantised_weights_take_their_bits(told: dict[str, Any] | None, bits: float, number_type: str) -> None:
    model = ModelShape.from_config({**LLAMA, "quantization_config": told}, "m")
    assert (model.quantisation.bits, model.quantisation.number_type) == (bits, number_type)
    layers = model.weights.dense * bits / 8
    assert model.weight_bytes == layers + 2 * 2 * model.vocabulary


def test_a_mixture_reads_few_experts_for_one_token_and_all_for_many() -> None:
    model = ModelShape.from_config(QWEN3_30B, "m")
    rest = 2 * (model.weights.dense + model.vocabulary)
    assert model.bytes_read(1) == pytest.approx(rest + 2 * model.weights.experts * 8 / 128)
    assert model.bytes_read(1000) == pytest.approx(rest + 2 * model.weights.experts)


def test_a_model_with_vision_counts_its_language_model() -> None:
    assert ModelShape.from_config({"model_type": "some_vl", "text_config": LLAMA}, "m").layers == 32


def test_what_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(ConfigError, match="expected num_hidden_layers or n_layer"):
        ModelShape.from_config({"hidden_size": 3}, "m")
    with pytest.raises(ConfigError, match="found 'squeeze'"):
        ModelShape.from_config({**LLAMA, "quantization_config": {"quant_method": "squeeze"}}, "m")
