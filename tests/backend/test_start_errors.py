"""Starts that fail: one clear error for everybody who waits, soon, and nothing left. No engine ever serves here."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from sparkllm.backend import launch
from sparkllm.backend.client import connect
from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.folder import EngineFolder, root_for
from sparkllm.backend.start_error import explain, root_cause
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineStartError

from .conftest import gone_after

DEMO = Path(EngineSpec.of(LLMConfig(), "demo", "app").model)


def copy_of_demo(folder: Path) -> Path:
    shutil.copytree(DEMO, folder)
    return folder


def failed_start(config: LLMConfig) -> str:
    with pytest.raises(EngineStartError) as caught:
        connect(config, None, "tests-errors")
    state = EngineFolder.of(root_for(config.runtime_dir), EngineSpec.of(config, None, "tests-errors")).state()
    assert state.watchdog is not None
    gone_after([state.watchdog])
    return str(caught.value)


def test_without_a_chat_template_everybody_who_waits_gets_the_same_error(tmp_path: Path, runtime_dir: str) -> None:
    model = copy_of_demo(tmp_path / "m")
    (model / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    config = LLMConfig(model=str(model), runtime_dir=runtime_dir)
    errors: list[str] = []
    threads = [threading.Thread(target=lambda: errors.append(failed_start(config))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(errors)) == 1
    assert "a chat template was expected, the model's tokenizer has none" in errors[0]
    assert "spark.sparkllm.chatTemplate" in errors[0]
    began = time.monotonic()
    assert failed_start(config) == errors[0], "a task's second try"
    assert time.monotonic() - began < 2, "fails without starting vLLM again"


def test_broken_weights_are_named_with_vllms_own_words(tmp_path: Path, runtime_dir: str) -> None:
    model = copy_of_demo(tmp_path / "m")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    message = failed_start(LLMConfig(model=str(model), runtime_dir=runtime_dir, kv_cache_gib=1))
    assert "SafetensorError" in message
    assert "its weights cannot be read" in message
    assert "Engine core initialization failed" not in message
    assert f"Log: {runtime_dir}" in message


def test_a_kv_cache_larger_than_memory_says_what_to_lower(runtime_dir: str) -> None:
    message = failed_start(LLMConfig(runtime_dir=runtime_dir, kv_cache_gib=10_000))
    assert "memory" in message
    assert "lower spark.sparkllm.kvCacheGib" in message


def test_an_unknown_engine_option_is_named(runtime_dir: str) -> None:
    message = failed_start(LLMConfig(runtime_dir=runtime_dir, engine_options='{"no_such_option": 1}'))
    assert "no_such_option" in message
    assert "correct spark.sparkllm.engineOptions" in message


def test_a_start_that_takes_too_long_is_given_up(runtime_dir: str) -> None:
    message = failed_start(LLMConfig(runtime_dir=runtime_dir, start_timeout_seconds=0.5, max_num_seqs=3))
    assert "not ready after 0 s (spark.sparkllm.startTimeoutSeconds)" in message.replace("after 1 s", "after 0 s")


def test_a_missing_vllm_is_said_at_once(runtime_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineStartError, match="install vllm"):
        connect(LLMConfig(runtime_dir=runtime_dir, max_num_seqs=4), None, "tests-errors")


# vLLM 0.32's and torch's own words, which only a GPU or a large model would bring forth
MEMORY = {
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing "
    "the engine.": "raise spark.sparkllm.gpuMemoryUtilization",
    "ValueError: To serve at least one request with the model's max seq len (32768), (4.0 GiB KV cache is needed, "
    "which is larger than the available KV cache memory (1.0 GiB).": "lower spark.sparkllm.maxModelLen",
    "ValueError: Free memory on device cuda:0 (3.1/22.0 GiB) on startup is less than desired GPU memory utilization "
    "(0.9, 19.8 GiB). Decrease GPU memory utilization": "lower spark.sparkllm.gpuMemoryUtilization",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.": "lower spark.sparkllm.kvCacheGib",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 10737418240000 bytes.": "lower spark.sparkllm.kvCacheGib",
}


@pytest.mark.parametrize("found", MEMORY)
def test_too_little_memory_says_what_to_change(found: str) -> None:
    assert f"To do: {MEMORY[found]}" in explain("m", root_cause(found), Path("/l"))


def test_the_root_cause_is_the_error_that_is_not_about_another_process() -> None:
    log = (
        "(EngineCore pid=9) ERROR 11-21 01:19:48 [core.py:1100] Traceback (most recent call last):\n"
        "(EngineCore pid=9) ERROR 11-21 01:19:48 [core.py:1100] ValueError: no room for the KV cache\n"
        "Traceback (most recent call last):\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert root_cause(log) == "ValueError: no room for the KV cache"
    assert root_cause("INFO all is well") == ""
