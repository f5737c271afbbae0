"""From an answer's token ids to its text: vLLM's record is made up here, what reads it is the engine's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer

from sparkllm.backend.engine import Answer, EngineSpec, Sampling
from sparkllm.backend.vllm_engine import VLLMEngine
from sparkllm.config import LLMConfig


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(Path(EngineSpec.of(LLMConfig(), "demo", "app").model, "tokenizer.json")))


def read(tokenizer: Tokenizer, text: str, sampling: Sampling, reason: str = "length") -> Answer:
    engine: Any = object.__new__(VLLMEngine)
    engine._tokenizer = tokenizer
    output = SimpleNamespace(token_ids=tokenizer.encode(text, add_special_tokens=False).ids, finish_reason=reason)
    final = SimpleNamespace(outputs=[output], prompt_token_ids=[1, 2], num_cached_tokens=0)
    return VLLMEngine._read(engine, final, sampling)


def test_control_tokens_of_an_answer_are_no_text(tokenizer: Tokenizer) -> None:
    assert read(tokenizer, "<|assistant|>\nyes<|end|><|user|> no", Sampling()).text == "\nyes no"
    assert read(tokenizer, "yes<|end|>", Sampling(), "stop").text == "yes"


@pytest.mark.parametrize("text", ["__import__('os').abort()", '{"a": ', "{{ 7 * 7 }}", "${jndi:ldap://x}", "\x80\x04."])
def test_an_answer_is_text_and_nothing_else(tokenizer: Tokenizer, text: str) -> None:
    assert read(tokenizer, text, Sampling()).text == text


def test_a_text_that_is_to_be_whole_is_none_where_it_was_cut(tokenizer: Tokenizer) -> None:
    cut, ended = (read(tokenizer, "half a sente", Sampling(whole=True), why) for why in ("length", "stop"))
    assert (cut.text, cut.truncated) == (None, True)
    assert "before its text had ended; raise spark.sparkllm.maxTokens or max_tokens" in str(cut.error)
    assert "sente" not in str(cut.error)
    assert (ended.text, ended.truncated) == ("half a sent", False)
    assert read(tokenizer, "half a sente", Sampling()).text == "half a sente"


def test_an_error_does_not_repeat_the_answer(tokenizer: Tokenizer) -> None:
    answer = read(tokenizer, "CanaryOfTheField", Sampling(choices=("yes", "no"), max_tokens=3))
    assert answer.text is None
    assert answer.error == "the answer is not one of the labels (max_tokens=3 cut it)"
