"""Python code that comes with a model runs only when it is asked for."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from sparkllm.backend.client import connect
from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.vllm_engine import engine_arguments
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineStartError

DEMO = Path(EngineSpec.of(LLMConfig(), "demo", "app").model)


def model_with_code(folder: Path, ran: Path) -> Path:
    """The demo model as one of a kind that nobody knows; its code writes the file `ran` when it is imported."""
    shutil.copytree(DEMO, folder)
    (folder / "its_code.py").write_text(
        f"from pathlib import Path\nfrom transformers import LlamaConfig\nPath({str(ran)!r}).touch()\n"
        "class TheirConfig(LlamaConfig):\n    model_type = 'theirs'\n"
    )
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "its_code.TheirConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_models_code_does_not_run_and_the_error_names_the_setting(tmp_path: Path, runtime_dir: str) -> None:
    model = model_with_code(tmp_path / "m", tmp_path / "ran")
    with pytest.raises(EngineStartError, match=r"read it and set spark\.sparkllm\.trustRemoteCode=true"):
        connect(LLMConfig(model=str(model), runtime_dir=runtime_dir, kv_cache_gib=1), None, "tests-code")
    assert not (tmp_path / "ran").exists()


@pytest.mark.long
def test_a_models_code_runs_where_it_is_trusted(
    tmp_path: Path, runtime_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    model = model_with_code(tmp_path / "m", tmp_path / "ran")
    config = LLMConfig(model=str(model), runtime_dir=runtime_dir, kv_cache_gib=1, trust_remote_code=True)
    with contextlib.suppress(EngineStartError):  # whether vLLM likes what it finds there is not the point
        connect(config, None, "tests-trusted-code")
    assert (tmp_path / "ran").exists()


def test_the_setting_reaches_vllm_and_the_users_engine_options_win(tmp_path: Path) -> None:
    def trusted(config: LLMConfig) -> bool:
        return bool(engine_arguments(EngineSpec.of(config, None, "app"), tmp_path)["trust_remote_code"])

    assert not trusted(LLMConfig())
    assert trusted(LLMConfig(trust_remote_code=True))
    assert trusted(LLMConfig(engine_options='{"trust_remote_code": true}'))
