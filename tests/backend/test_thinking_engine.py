"""A reasoning model in the real engine: it thinks `Hm`, then says `yes`; its template opens the thought, as R1's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sparkllm.backend.chat import Chat
from sparkllm.backend.client import EngineClient, connect
from sparkllm.backend.engine import Sampling
from sparkllm.backend.launch import end
from sparkllm.config import LLMConfig
from sparkllm.udf.tokens import ChatTokenizer, token_array

from .chain_model import chain_model
from .made_up_models import R1, tokenizer_of

FOLLOWING = {"<think>\n": "Hm</think>\n\n", "</think>\n\n": "yes<|im_end|>"}
LABELS = ("no", "yes")
BOOLEAN = '{"type": "object", "properties": {"good": {"type": "boolean"}}}'


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, runtime_dir: str) -> Iterator[EngineClient]:
    folder = chain_model(tmp_path_factory.mktemp("chain") / "m", R1, tokenizer_of(), FOLLOWING)
    client = connect(LLMConfig(model=str(folder), runtime_dir=runtime_dir, kv_cache_gib=1), None, "tests-thinking")
    yield client
    end(client._folder)


def ask(engine: EngineClient, chat: Chat, sampling: Sampling) -> dict:
    frame = engine.frame(chat)
    tokenizer = ChatTokenizer(engine.info.tokenizer_json, frame.prefix, frame.suffix)
    (row,) = engine.submit(token_array(tokenizer.encode(["Is it good?"])), sampling).result().to_pylist()
    return row


def test_its_thought_is_no_part_of_a_text(engine: EngineClient) -> None:
    row = ask(engine, Chat(), Sampling(max_tokens=30))
    assert (row["text"], row["error"]) == ("yes", None)
    assert row["output_tokens"] > 4


def test_a_thought_that_uses_up_the_tokens_is_a_truncated_answer(engine: EngineClient) -> None:
    row = ask(engine, Chat(), Sampling(max_tokens=2))
    assert (row["text"], row["truncated"]) == (None, True)
    assert "raise spark.sparkllm.maxTokens" in row["error"]


def test_a_label_is_said_at_once(engine: EngineClient) -> None:
    row = ask(engine, Chat(held=True), Sampling(max_tokens=8, choices=LABELS))
    assert (row["text"], row["error"]) == ("yes", None)
    assert row["output_tokens"] <= 4


def test_a_label_is_held_after_a_thought_too(engine: EngineClient) -> None:
    row = ask(engine, Chat(thinking="on", held=True), Sampling(max_tokens=30, choices=LABELS))
    assert row["error"] is None
    assert row["text"] in LABELS
    assert row["output_tokens"] > 4, "the thought, its end and the label"


@pytest.mark.parametrize("thinking", ["auto", "on"])
def test_a_typed_answer_is_held_with_a_thought_and_without(engine: EngineClient, thinking: str) -> None:
    row = ask(engine, Chat(thinking=thinking, held=True), Sampling(max_tokens=40, json_schema=BOOLEAN))
    assert row["error"] is None
    assert row["text"] in ('{"good": true}', '{"good": false}')


def test_a_thought_before_a_label_that_does_not_end_is_a_truncated_answer(engine: EngineClient) -> None:
    row = ask(engine, Chat(thinking="on", held=True), Sampling(max_tokens=2, choices=LABELS))
    assert (row["text"], row["truncated"]) == (None, True)


def test_off_ends_the_thought_of_a_text_before_it_begins(engine: EngineClient) -> None:
    row = ask(engine, Chat(thinking="off"), Sampling(max_tokens=30))
    assert row["text"] == "yes"
    assert row["output_tokens"] <= 4


def test_a_system_prompt_stands_in_the_frame_and_starts_no_other_engine(engine: EngineClient) -> None:
    assert engine.frame(Chat(system="Be brief.")).prefix.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert ask(engine, Chat(system="Be brief."), Sampling(max_tokens=30))["text"] == "yes"
