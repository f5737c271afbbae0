"""What a setting of speculation makes of an engine, and what a query is told of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.query_speculation import QuerySpeculation
from sparkllm.backend.speculation import SCHEDULERS, resolve_speculation, speculative
from sparkllm.backend.vllm_engine import engine_arguments, vllm_config
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineStartError

FILE = Path("sums")


def spec_of(**settings: Any) -> EngineSpec:
    return EngineSpec.of(LLMConfig(**settings), None, "app")


@pytest.mark.parametrize(
    ("devices", "options", "expected"),
    [
        ("cpu", {}, "auto"),
        ("0", {}, "off"),
        ("all", {}, "off"),
        ("cpu", {"seed": 1}, "auto"),
        ("cpu", {"speculative_config": {"method": "ngram", "num_speculative_tokens": 3}}, "off"),
        ("cpu", {"scheduler_cls": "theirs"}, "off"),
        ("cpu", {"logits_processors": ["theirs"]}, "off"),
        ("cpu", {"data_parallel_size": 2}, "off"),
    ],
)
def test_auto_speculates_where_that_is_known_to_be_safe(devices: str, options: dict[str, Any], expected: str) -> None:
    assert resolve_speculation("auto", devices, options) == (expected, "")


def test_off_leaves_vllm_alone() -> None:
    assert speculative("off", FILE) == {}
    arguments = engine_arguments(spec_of(speculation="off"), FILE)
    assert not {"speculative_config", "scheduler_cls", "additional_config"} & arguments.keys()


def test_auto_is_ngrams() -> None:
    assert speculative("auto", FILE) == speculative("ngram", FILE)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize("setting", ["auto", "ngram"])
def test_auto_does_without_where_vllm_refuses(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm import AsyncEngineArgs

    accepted = AsyncEngineArgs.create_engine_config

    def refusing(self: AsyncEngineArgs, *args: Any) -> Any:
        if self.speculative_config:
            raise ValueError("not with this model")
        return accepted(self, *args)

    assert vllm_config(spec_of(speculation=setting), FILE).scheduler_config.scheduler_cls == SCHEDULERS[False]
    monkeypatch.setattr(AsyncEngineArgs, "create_engine_config", refusing)
    if setting == "auto":
        config = vllm_config(spec_of(speculation=setting), FILE)
        assert (config.speculative_config, config.scheduler_config.scheduler_cls) == (None, None)
    else:
        with pytest.raises(ValueError, match="not with this model"):
            vllm_config(spec_of(speculation=setting), FILE)


def test_ngrams_need_no_model() -> None:
    config = speculative("ngram", FILE)["speculative_config"]
    assert config["method"] == "ngram"
    assert config["num_speculative_tokens"] == 8
    assert "num_speculative_tokens_per_batch_size" not in config


def test_a_gpu_is_told_that_lengths_vary() -> None:
    config = speculative("draft:some/model", FILE, varying_up_to=64)["speculative_config"]
    assert config["num_speculative_tokens_per_batch_size"] == [[1, 64, 8]]
    assert (config["method"], config["model"]) == ("draft_model", "some/model")


@pytest.mark.parametrize(("model", "method"), [("a/eagle-x", "eagle"), ("a/Llama-EAGLE3", "eagle3")])
def test_an_eagle_head_is_of_the_kind_that_its_name_says(model: str, method: str) -> None:
    assert speculative(f"eagle:{model}", FILE)["speculative_config"]["method"] == method


def test_the_users_options_have_the_last_word_and_keep_the_summary() -> None:
    options = '{"additional_config": {"sparkllm": {"trace": "t"}, "other": 1}, "max_num_seqs": 9}'
    arguments = engine_arguments(spec_of(speculation="ngram", engine_options=options), FILE)
    given = arguments["additional_config"]
    assert given["other"] == 1
    assert given["sparkllm"].keys() == {"trace", "summary", "profile_prefix"}
    assert arguments["max_num_seqs"] == 9


def test_a_draft_model_belongs_to_what_makes_an_engine(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = spec_of(speculation=f"draft:{tmp_path}")
    assert before.speculation == f"draft:{tmp_path}"
    assert before.key != spec_of(speculation="ngram").key
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert spec_of(speculation=f"draft:{tmp_path}").key != before.key


def test_a_draft_model_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(
        EngineStartError, match=r"spark\.sparkllm\.speculation='/no/draft': expected a folder .* nothing"
    ):
        spec_of(speculation="draft:/no/draft")


@pytest.mark.skipif(importlib.util.find_spec("arctic_inference") is not None, reason="its package is installed")
def test_suffix_decoding_without_its_package_says_what_to_install() -> None:
    with pytest.raises(EngineStartError, match="pip install arctic-inference, or set it to ngram"):
        spec_of(speculation="suffix")


def test_a_query_is_told_what_happened_while_it_had_streams() -> None:
    engine = {"steps": 0, "fallbacks": 0}
    queries = QuerySpeculation(lambda: dict(engine), most=2)
    engine["steps"] = 5
    with queries.of("a"):
        engine["steps"] = 7
        with queries.of("a"), queries.of("b"):
            engine["steps"] = 10
        assert queries.sums("a") == {"speculation_steps": 5, "speculation_fallbacks": 0}
    engine["steps"] = 20
    with queries.of("a"):
        engine["steps"] = 21
    engine |= {"steps": 30, "fallbacks": 1}
    assert queries.sums("a") == {"speculation_steps": 6, "speculation_fallbacks": 0}
    assert queries.sums("b") == {"speculation_steps": 3, "speculation_fallbacks": 0}
    assert queries.sums(None) == {"speculation_steps": 30, "speculation_fallbacks": 1}
    assert queries.sums("c") == {"speculation_steps": 0, "speculation_fallbacks": 0}


def test_an_engine_without_speculation_tells_nothing() -> None:
    queries = QuerySpeculation(dict, most=2)
    with queries.of("a"):
        pass
    assert queries.sums("a") == queries.sums(None) == {}
