"""What makes an engine the same engine, and what is refused before any process starts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sparkllm.backend import engine
from sparkllm.backend.engine import EngineSpec, Sampling
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError, EngineStartError


def a_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_the_same_settings_give_the_same_engine() -> None:
    one, two = (EngineSpec.of(LLMConfig(window_rows=rows), None, "app") for rows in (8, 16))
    assert one.key == two.key
    assert EngineSpec.from_json(one.to_json()) == one


@pytest.mark.parametrize("changed", [{"max_model_len": 64}, {"dtype": "float16"}, {"engine_options": '{"seed": 1}'}])
def test_a_setting_of_the_engine_gives_another_engine(changed: dict[str, str]) -> None:
    assert EngineSpec.of(LLMConfig(**changed), None, "app").key != EngineSpec.of(LLMConfig(), None, "app").key  # type: ignore[arg-type]


def test_each_application_has_its_own_engine() -> None:
    assert EngineSpec.of(LLMConfig(), None, "a").key != EngineSpec.of(LLMConfig(), None, "b").key


def test_a_changed_file_of_the_model_gives_another_engine(tmp_path: Path) -> None:
    model = a_model(tmp_path / "m")
    before = EngineSpec.of(LLMConfig(), str(model), "app")
    (model / "model.safetensors").write_bytes(b"weights")
    assert EngineSpec.of(LLMConfig(), str(model), "app").key != before.key


def test_a_hub_id_is_kept_and_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_model(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    assert EngineSpec.of(LLMConfig(), "Qwen/Qwen3-0.6B", "app").model == "Qwen/Qwen3-0.6B"
    assert EngineSpec.of(LLMConfig(), "./m", "app").model == str(tmp_path / "m")
    assert Path(EngineSpec.of(LLMConfig(), "demo", "app").model, "config.json").is_file()


@pytest.mark.parametrize("path", ["/no/such/model", "./no-such-model", "~/no-such-model", "a/b/c"])
def test_a_path_that_is_not_there_is_refused_at_once(path: str) -> None:
    with pytest.raises(EngineStartError, match=r"expected a folder with a model.*found nothing"):
        EngineSpec.of(LLMConfig(), path, "app")


def test_a_folder_without_a_model_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(EngineStartError, match=r"found a folder without config\.json"):
        EngineSpec.of(LLMConfig(), str(tmp_path), "app")


def test_a_chat_template_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    from_file = EngineSpec.of(LLMConfig(chat_template=str(tmp_path / "chat.jinja")), None, "app")
    assert from_file == EngineSpec.of(LLMConfig(chat_template="{{ messages }}"), None, "app")
    with pytest.raises(EngineStartError, match="chatTemplate"):
        EngineSpec.of(LLMConfig(chat_template=str(tmp_path / "none.jinja")), None, "app")


@pytest.mark.parametrize("options", ["{", "[]", "3"])
def test_engine_options_that_are_no_object_are_refused(options: str) -> None:
    with pytest.raises(ConfigError, match="engineOptions"):
        EngineSpec.of(LLMConfig(engine_options=options), None, "app")


def test_engine_options_with_a_secret_are_refused_without_repeating_it() -> None:
    for options in ('{"hf_token": "hf_canary"}', '{"hf_token": "hf_canary"'):
        with pytest.raises(ConfigError) as caught:
            EngineSpec.of(LLMConfig(engine_options=options), None, "app")
        assert "hf_canary" not in str(caught.value)


def test_sampling_survives_the_wire() -> None:
    sampling = Sampling(5, 0.5, 7, ("a", "b"))
    assert Sampling.from_json(sampling.to_json()) == sampling


def test_the_fingerprint_does_not_depend_on_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = EngineSpec.of(LLMConfig(), None, "app").key
    monkeypatch.chdir(tmp_path)
    assert EngineSpec.of(LLMConfig(), None, "app").key == here
    assert os.getcwd() == str(tmp_path)


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where vLLM's GPU build is installed."""

    monkeypatch.setattr(engine, "_has_cpu_build", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("gpu_build")
def test_an_engine_sees_the_gpus_that_spark_gave_its_executor_and_no_others() -> None:
    spec = EngineSpec.of(LLMConfig(), None, "app", ("3",))
    assert spec.environment == {"CUDA_VISIBLE_DEVICES": "3"}
    assert spec.key != EngineSpec.of(LLMConfig(), None, "app", ("4",)).key
    assert EngineSpec.of(LLMConfig(), None, "app").environment == {}


@pytest.mark.usefixtures("gpu_build")
def test_gpus_from_spark_come_before_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert EngineSpec.of(LLMConfig(), None, "app", ("5",)).devices == "5"
    assert EngineSpec.of(LLMConfig(), None, "app").devices == "0,1"


@pytest.mark.usefixtures("gpu_build")
def test_a_model_is_spread_over_the_gpus_it_is_given_unless_the_user_says_otherwise() -> None:
    def tensor_parallel(options: str, gpus: tuple[str, ...]) -> int | None:
        spec = EngineSpec.of(LLMConfig(engine_options=options), None, "app", gpus)
        return json.loads(spec.engine_options).get("tensor_parallel_size")  # type: ignore[no-any-return]

    assert tensor_parallel("{}", ("0", "1")) == 2
    assert tensor_parallel('{"tensor_parallel_size": 1}', ("0", "1")) == 1
    assert tensor_parallel("{}", ("0",)) is None


def test_on_a_cpu_executors_of_all_gpu_types_share_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_has_cpu_build", lambda: True)
    one, two = (EngineSpec.of(LLMConfig(), None, "app", gpus) for gpus in (("0",), ("1", "2")))
    assert one == two
    assert one.environment == {}
