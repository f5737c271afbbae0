"""What a failed start says to do, by the words of vLLM 0.32, transformers 5 and huggingface_hub 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkllm.backend.start_advice import advice, without_secrets
from sparkllm.backend.start_error import explain, root_cause

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
PAGE = f"https://huggingface.co/{MODEL}"
TOKEN = "hf_AbCdEfGhIjKlMnOpQrSt"

# the last lines of a traceback: what is to be done about them
WORDS = {
    f"OSError: You are trying to access a gated repo.\nMake sure to have access to it at {PAGE}.\n401 Client Error. "
    "(Request ID: Root=1)\n\nCannot access gated repo": f"accept the model's terms at {PAGE}",
    "huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1)\n\nCannot access gated repo for url "
    f"{PAGE}/resolve/main/config.json.": "give the executors a token of it, none is set",
    f"OSError: {MODEL} is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/"
    "models'\nIf this is a private repository, make sure to pass a token": f"check the model's id ({PAGE})",
    "huggingface_hub.errors.HfHubHTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/api\n"
    "Invalid credentials in Authorization header": "the hub refused: check that the token's account may read",
    "huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach https://huggingface.co/api: offline mode is enabled.": (
        "HF_HUB_OFFLINE forbids it"
    ),
    "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached "
    "files.": "copy the model there and set spark.sparkllm.model to its folder",
    "httpx.ConnectError: [Errno -2] Name or service not known": "HTTPS_PROXY",
    "OSError: [Errno 28] No space left on device": "spark.executorEnv.HF_HOME can move to a larger one",
    "RuntimeError: Data processing error: File reconstruction error: IO Error: No space left on device (os error 28)": (
        "make room on this host's disk"
    ),
    "OSError: PermissionError at /root/.cache when downloading m. Check cache directory permissions.": (
        "spark.executorEnv.HF_HOME names the folder"
    ),
    "ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported architectures: "
    "dict_keys(['LlamaForCausalLM'])": "install a newer vllm",
    "ValueError: The checkpoint you are trying to load has model type `new` but Transformers does not recognize this "
    "architecture. This could be because of an issue with the checkpoint": "install a newer vllm",
    "ValueError: Quantization method specified in the model config (awq) does not match the quantization method "
    "specified in the `quantization` argument (gptq).": "take quantization out of spark.sparkllm.engineOptions",
    "ValueError: Unknown quantization method: q9. Must be one of ['awq', 'gptq'].": "correct quantization in",
    "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current "
    "capability: 75.": "take the model in another quantization or without one, or a newer GPU",
    "ValueError: torch.bfloat16 is not supported for quantization method awq. Supported dtypes: [torch.float16]": (
        "set spark.sparkllm.dtype to one that is named"
    ),
    "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has "
    "compute capability 7.5.": "set spark.sparkllm.dtype=float16",
    "ValueError: Total number of attention heads (32) must be divisible by tensor parallel size (3).": (
        "set tensor_parallel_size in spark.sparkllm.engineOptions"
    ),
    "RuntimeError: Failed to infer device type, please set the environment variable": "look at nvidia-smi",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.": "lower spark.sparkllm.kvCacheGib",
    "sparkllm.errors.EngineStartError: a chat template was expected, the model's tokenizer has none": (
        "for a base model set it to 'none'"
    ),
}


@pytest.mark.parametrize("words", WORDS)
def test_words_of_a_failed_start_say_what_to_do(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    log = f"INFO all is well\nTraceback (most recent call last):\n  File x\n{words}\n"
    message = explain(MODEL, root_cause(log), Path("/l"))
    assert WORDS[words] in message.partition("To do: ")[2]
    assert "dict_keys" not in message


def test_the_token_is_asked_for_tried_or_explained() -> None:
    def todo(**environment: str) -> str:
        return advice("You are trying to access a gated repo.", MODEL, environment)

    assert "none is set (spark.executorEnv.HF_TOKEN" in todo()
    assert "HF_TOKEN={{secrets/<scope>/<key>}}" in todo()
    assert "check the token that the executors have" in todo(HF_TOKEN=TOKEN)
    assert "HF_TOKEN holds the name of a Databricks secret" in todo(HF_TOKEN="{{secrets/scope/key}}")
    assert TOKEN not in todo(HF_TOKEN=TOKEN)


def test_no_token_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "an-odd-token")
    for words in (f"Authorization: Bearer {TOKEN}", "?token=an-odd-token"):
        message = explain(MODEL, root_cause(f"ValueError: {words}"), Path("/l"))
        assert "hf_***" in message
        assert TOKEN not in message
        assert "an-odd-token" not in message
    assert without_secrets("the hf_transfer package", {}) == "the hf_transfer package"
