"""Which endpoint: names, what makes another engine and other answers, and no key in any of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparkllm.backend import launch
from sparkllm.backend.endpoint.endpoint_engine import EndpointEngine
from sparkllm.backend.endpoint.messages import EndpointText
from sparkllm.backend.endpoint.settings import EndpointSettings
from sparkllm.backend.engine import EngineInfo, EngineSpec
from sparkllm.backend.folder import EngineFolder
from sparkllm.backend.ledger.fingerprint import endpoint_fingerprint
from sparkllm.backend.model_path import resolve
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError, EndpointError, EngineStartError
from sparkllm.placing import model_shape
from sparkllm.udf.tokens import ChatTokenizer

from .misbehaving import Misbehaving

NAME = "openai:some/model"


def spec(**settings: Any) -> EngineSpec:
    return EngineSpec.of(LLMConfig(**settings), NAME, "app")


def test_an_endpoints_name_may_hold_slashes_and_colons() -> None:
    for name in ("gpt-4.1-mini", "org/model", "/models/x", "ft:gpt-4.1:org::id"):
        settings = EndpointSettings.from_json(EngineSpec.of(LLMConfig(), f"openai:{name}", "app").endpoint)
        assert settings.model == name


@pytest.mark.parametrize("model", ["openai:", "openai: "])
def test_an_endpoint_without_a_name_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match="a model's name was expected after openai:"):
        EngineSpec.of(LLMConfig(), model, "app")


@pytest.mark.parametrize("url", ["http://h/v1", "http://h/v1/", " http://h/v1/chat/completions"])
def test_an_address_may_come_with_the_path_that_follows(url: str) -> None:
    assert spec(base_url=url).key == spec(base_url="http://h/v1").key


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="baseUrl takes an address such as https://"):
        spec(base_url="gateway:8000/v1")


@pytest.mark.parametrize(
    "changed",
    [
        {"base_url": "http://h/v1"},
        {"api_key_env": "OTHER_KEY"},
        {"endpoint_concurrency": 4},
        {"endpoint_options": '{"top_p": 0.1}'},
        {"max_model_len": 64},
    ],
)
def test_a_setting_of_the_endpoint_gives_another_engine(changed: dict[str, Any]) -> None:
    assert spec(**changed).key != spec().key


@pytest.mark.parametrize("changed", [{"kv_cache_gib": 2.0}, {"dtype": "float16"}, {"speculation": "ngram"}])
def test_a_setting_of_vllm_gives_no_other_endpoint_engine(changed: dict[str, Any]) -> None:
    assert spec(**changed).key == spec().key


def test_a_setting_of_the_endpoint_gives_no_other_engine_of_ones_own() -> None:
    one, two = (EngineSpec.of(LLMConfig(base_url=url), "demo", "app") for url in ("http://a/v1", "http://b/v1"))
    assert one.key == two.key


def test_answers_are_kept_apart_by_address_name_and_options() -> None:
    prints = {
        endpoint_fingerprint("http://a/v1", "m", {}),
        endpoint_fingerprint("http://b/v1", "m", {}),
        endpoint_fingerprint("http://a/v1", "n", {}),
        endpoint_fingerprint("http://a/v1", "m", {"top_p": 0.1}),
    }
    assert len(prints) == 4
    assert endpoint_fingerprint("u", "m", {"a": 1, "b": 2}) == endpoint_fingerprint("u", "m", {"b": 2, "a": 1})


def test_a_dry_run_of_an_endpoint_is_refused_rather_than_paid_for() -> None:
    with pytest.raises(ConfigError, match=r"engine=dry-run.*sparkllm\.explain"):
        spec(engine="dry-run")


@pytest.mark.parametrize(
    "setting",
    [
        {"api_key_env": "sk-Canary"},
        {"api_key_env": "gsk_canary"},
        {"base_url": "https://me:Canary@h/v1"},
        {"base_url": "https://Canary@h/v1"},
        {"base_url": "https://h/v1?api-key=Canary"},
    ],
)
def test_a_key_in_a_setting_is_refused_without_repeating_it(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="as settings reach logs") as caught:
        LLMConfig(**setting)
    assert "canary" not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("[]", "a list"),
        ('{"api-key": "Canary"}', "takes no secrets, as settings reach logs; found api_key"),
        ('{"stream": true}', "found stream: leave it out"),
        ("{Canary", "found Expecting property name"),
    ],
)
def test_options_that_cannot_be_sent_are_refused(options: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        spec(endpoint_options=options)
    assert "Canary" not in str(caught.value)


def test_a_key_is_looked_for_where_the_settings_say(tmp_path: Path) -> None:
    settings = EndpointSettings.from_json(spec().endpoint)
    assert settings.key({"OPENAI_API_KEY": " sk-1\n"}) == "sk-1"
    assert settings.key({}) == ""
    (tmp_path / "key").write_text("sk-2\n")
    filed = EndpointSettings.from_json(spec(api_key_file=str(tmp_path / "key")).endpoint)
    assert filed.key({"OPENAI_API_KEY": "sk-1"}) == "sk-2"


def test_a_key_that_cannot_be_one_is_told_without_repeating_it(tmp_path: Path) -> None:
    settings = EndpointSettings.from_json(spec().endpoint)
    with pytest.raises(EndpointError, match="spaces, line breaks") as caught:
        settings.key({"OPENAI_API_KEY": "sk canary"})
    assert "canary" not in str(caught.value)
    filed = EndpointSettings.from_json(spec(api_key_file=str(tmp_path / "none")).endpoint)
    with pytest.raises(EndpointError, match="No such file"):
        filed.key({})


def test_a_placement_of_an_endpoint_is_refused() -> None:
    with pytest.raises(ConfigError, match="is on its server"):
        model_shape(NAME)


def test_a_client_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    folder = EngineFolder.of(tmp_path, spec())
    with pytest.raises(EngineStartError, match=r"pip install 'sparkllm\[endpoints\]'"):
        launch._start(folder, folder.state())


def test_what_asks_other_engines_needs_no_http_client() -> None:
    modules = "sparkllm.backend.client, sparkllm.backend.server, sparkllm.backend.dry_run_engine, sparkllm.udf.arrow"
    code = f"import sys, {modules}; print({{'httpx', 'httpx2', 'openai'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("listed", "set_to", "length"),
    [
        ((200, {"data": [{"id": "other"}, {"id": "some/model", "max_model_len": 77}]}), 0, 77),
        ((200, {"data": [{"id": "some/model", "context_window": 88}]}), 0, 88),
        ((200, {"data": [{"id": "some/model", "max_model_len": 77}]}), 50, 50),
        ((200, {"data": [{"id": "some/model", "max_model_len": None}]}), 0, 128_000),
        ((200, {"data": "none"}), 0, 128_000),
        ((404, {"detail": "Not Found"}), 0, 128_000),
        ((403, {"error": "this key may not list models"}), 0, 128_000),
    ],
)
def test_the_longest_prompt_is_what_is_set_or_what_the_server_says(
    server: Misbehaving, listed: tuple[int, Any], set_to: int, length: int
) -> None:
    server.models = listed
    assert asyncio.run(_prepared(spec(base_url=server.url, max_model_len=set_to))).max_model_len == length


async def _prepared(one: EngineSpec) -> EngineInfo:
    engine = EndpointEngine(one)
    try:
        await engine.prepare()
        return engine.info
    finally:
        await engine.close()


def test_a_tokenizer_of_the_endpoints_own_counts(server: Misbehaving, tmp_path: Path) -> None:
    with pytest.raises(EngineStartError, match=r"endpointVocabulary='/no/such/folder'"):
        spec(endpoint_vocabulary="/no/such/folder")
    folder = tmp_path / "m"
    shutil.copytree(resolve("demo"), folder)
    state = json.loads((folder / "tokenizer.json").read_bytes())
    state["added_tokens"].append(state["added_tokens"][0] | {"id": 4096, "content": "<|im_start|>"})
    (folder / "tokenizer.json").write_text(json.dumps(state))
    info = asyncio.run(_prepared(spec(base_url=server.url, endpoint_vocabulary=str(folder))))
    tokenizer = ChatTokenizer.shared(info.tokenizer_json, info.chat_prefix, info.chat_suffix)
    (ids,) = tokenizer.encode(["<|im_start|>system"])
    assert 4096 not in ids
    assert EndpointText(info.tokenizer_json).messages(ids) == [{"role": "user", "content": "<|im_start|>system"}]
