"""An EAGLE head with random weights for the demo model: its drafts mean nothing, the work is real."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from bench.make_random_model import Shape, demo_config

__all__ = ["random_eagle"]


def random_eagle(out: Path, seed: int = 0) -> None:
    """Write the head to the new folder `out`: one layer, of the demo model's own width, as EAGLE wants it."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    with resources.as_file(resources.files("sparkllm") / "demo" / "model") as folder:
        demo = AutoConfig.from_pretrained(folder)
        heads, key_values = demo.num_attention_heads, demo.num_key_value_heads
        config = demo_config(folder, Shape(demo.hidden_size, 1, heads, key_values, demo.intermediate_size), "float32")
    weights = {
        name.removeprefix("model."): weight.contiguous()
        for name, weight in LlamaForCausalLM(config).state_dict().items()
        if name.startswith("model.layers.") and "input_layernorm" not in name  # the one norm that EAGLE leaves out
    }
    weights["fc.weight"] = 0.1 * torch.randn(demo.hidden_size, 2 * demo.hidden_size)
    config.save_pretrained(out)
    save_file(weights, out / "model.safetensors")
