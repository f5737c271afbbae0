"""Whatever a field holds, it stays in its field: read back from the prompt's text, and from its token ids."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from sparkllm.calls import LLMCall
from sparkllm.optimizer.encode import encode
from sparkllm.udf.prompt import render, value_text
from sparkllm.udf.token_pieces import TokenPieces
from sparkllm.udf.tokens import ChatTokenizer
from tests.udf.hostile_tokenizers import HOSTILE
from tests.udf.hostile_values import TOKENS, hostile_value
from tests.udf.read_prompt import read_prompt

NAMES = ("a", "b", "c", "d")
CALLS = (
    LLMCall(None, "Is it good?", NAMES),
    LLMCall(None, "Is it good?", NAMES, data_first=True),
    LLMCall("classify", None, NAMES),
    LLMCall(None, "Is {a} as good as {b}{c}, and {a}?", NAMES),
    LLMCall(None, "Of {d}: is it good?", NAMES, data_first=True),
)
ROWS = 50


@pytest.mark.parametrize("values", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_no_value_leaves_its_field(values: int) -> None:
    counts = Counter[str]()
    for batch in range(-(-values // (ROWS * len(NAMES)))):
        rng = random.Random(batch)
        rows = [[hostile_value(rng) for _ in NAMES] for _ in range(ROWS)]
        counts["values"] += ROWS * len(NAMES)
        for call in CALLS:
            counts["prompts read from text"] += _read_from_text(call, rows)
        for name in HOSTILE:
            counts["prompts read from token ids"] += _read_from_ids(name, CALLS[batch % len(CALLS)], rows)
    print(dict(counts))
    assert counts["values"] >= values


def _read_from_text(call: LLMCall, rows: list[list[str | None]]) -> int:
    texts = render(call, _table(rows), (2, 0, 3, 1))
    for row, text in zip(rows, texts, strict=True):
        assert read_prompt(call, text) == _fields(row), text
    return len(texts)


def _read_from_ids(name: str, call: LLMCall, rows: list[list[str | None]]) -> int:
    own, chat, control = _tokenizer(name)
    table, reads = _table(rows), HOSTILE[name].reads
    head, tail = (len(part) for part in (chat.encode([""])[0][: len(chat.opening(""))], chat.closing("")))
    sent = TokenPieces(chat, call, table).prompts(np.arange(len(rows)), np.array([2, 0, 3, 1]))
    for row, ids in zip(rows, sent.to_arrow().to_pylist(), strict=True):
        body = ids[head : len(ids) - tail]
        assert not control.intersection(body), own.decode(body, skip_special_tokens=False)
        if reads is not None:
            found = read_prompt(call, own.decode(body, skip_special_tokens=False))
            wanted = {field: reads(value) for field, value in _fields(row).items()}
            assert {field: reads(value) for field, value in found.items()} == wanted
    return len(rows)


@cache
def _tokenizer(name: str) -> tuple[Tokenizer, ChatTokenizer, frozenset[int | None]]:
    own = HOSTILE[name].make()
    control = frozenset(own.token_to_id(token) for token in HOSTILE[name].control)
    return own, ChatTokenizer(own.to_str(), *HOSTILE[name].frame), control


def _table(rows: list[list[str | None]]):  # type: ignore[no-untyped-def]
    return encode([pa.array([row[c] for row in rows], pa.string()) for c in range(len(NAMES))], len(rows))


def _fields(row: list[str | None]) -> dict[str, str]:
    return {name: value for name, value in zip(NAMES, row, strict=True) if value is not None}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_chat_frame_keeps_its_control_tokens(name: str) -> None:
    _, chat, control = _tokenizer(name)
    assert control.intersection(chat.opening(""))
    assert control.intersection(chat.closing(""))
    assert chat.encode(["Is it?"])[0] == chat.opening("Is it?") + chat.closing("")


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "the shipped model's"])
def test_without_their_new_names_these_tokenizers_give_control_tokens(name: str) -> None:
    own, _, control = _tokenizer(name)
    own.encode_special_tokens = True
    given = own.encode(" ".join(TOKENS).replace('"', ""), add_special_tokens=False).ids
    own.encode_special_tokens = False
    assert control.intersection(given)


@pytest.mark.parametrize("name", HOSTILE)
def test_ordinary_text_has_the_ids_that_the_model_was_trained_with(name: str) -> None:
    own, chat, _ = _tokenizer(name)
    text = 'Is it good?\n\n{"name": "Kettle 2000", "review": "It\'s  boiling fast, \\"really\\" 日本語 é"}'
    assert chat.opening(text)[len(chat.opening("")) :] == own.encode(text, add_special_tokens=False).ids


def test_half_a_surrogate_pair_is_written_as_json_does() -> None:
    assert value_text("a\ud83d") == '"a\\ud83d"'
    assert _tokenizer("the shipped model's")[1].encode([value_text("é\udc00")])


def test_bytes_that_are_no_utf8_are_one_character_and_not_the_end_of_the_task() -> None:
    raw = pa.array([b"\xffA", b"fine"], pa.binary())
    column = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    texts = render(LLMCall(None, "Is it good?", ("a",)), encode([column], 2), (0,))
    assert [text.split("\n\n")[1] for text in texts] == ['{"a": "\ufffdA"}', '{"a": "fine"}']
