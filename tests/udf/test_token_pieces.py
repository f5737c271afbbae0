"""Prompts put together from pieces have the token ids of the whole text, whatever the tokenizer."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.calls import LLMCall
from sparkllm.optimizer.encode import Encoded, encode
from sparkllm.optimizer.prefix import cells, tokens
from sparkllm.udf.joints import Joints
from sparkllm.udf.prompt import render
from sparkllm.udf.token_pieces import TokenPieces
from sparkllm.udf.tokens import ChatTokenizer
from tests.udf.some_tokenizers import ACCEPTED, REFUSED

NAMES = ("name", "re view", "a.b")
SCHEMA = '{"type":"struct","fields":[{"name":"n","type":"string","nullable":true,"metadata":{}}]}'
CALLS = (
    LLMCall(None, "Is it good?", NAMES),
    LLMCall("classify", None, NAMES, schema=SCHEMA),
    LLMCall(None, "Is it good?", NAMES, data_first=True),
    LLMCall(None, "Good?", NAMES, data_first=True),
    LLMCall(None, ", , a", NAMES, data_first=True),
    LLMCall(None, "Is {name} good, and {name}?", NAMES),
    LLMCall(None, "Is {name} good?", NAMES, data_first=True),
)
PIECES = [
    "a",
    "It's",
    "Kettle",
    '"',
    ",",
    ", ",
    ": ",
    " ",
    "  ",
    "\n",
    "7",
    "1234",
    "}",
    "é",
    "e\u0301",
    "\u0301",
    "▁",
    "Ġ",
]
PIECES += ["\u00a0", "\u2003", "日本", "🍺", "'", "<|end|>", "<unk>", "\\", "/", "?", ', "re view"', "\u0338"]
words = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
values = st.none() | words | st.text(max_size=6)
tables = st.integers(0, 6).flatmap(lambda n: st.lists(st.lists(values, min_size=3, max_size=3), min_size=n, max_size=n))


@cache
def tokenizer(name: str) -> ChatTokenizer:
    return ChatTokenizer((ACCEPTED | REFUSED)[name]().to_str(), "<a> ", " b")


def encoded(rows: list[list[str | None]]) -> Encoded:
    columns = [pa.array([row[c] for row in rows], type=pa.string()) for c in range(3)]
    return encode(columns, len(rows))


@pytest.mark.parametrize("name", [*ACCEPTED, *REFUSED])
@settings(max_examples=60, deadline=None)
@given(tables, st.sampled_from(CALLS), st.randoms(use_true_random=False))
def test_prompts_have_the_ids_of_the_whole_text(name: str, rows: list, call: LLMCall, random) -> None:  # type: ignore[no-untyped-def]
    table, chat = encoded(rows), tokenizer(name)
    sent = np.array(random.sample(range(len(rows)), len(rows)), dtype=np.int64)
    fields = np.array([random.sample(range(3), 3) for _ in rows], dtype=np.int16).reshape(len(rows), 3)
    pieces = TokenPieces(chat, call, table)
    texts = [render(call, table.take(np.array([r])), tuple(f))[0] for r, f in zip(sent, fields.tolist(), strict=True)]
    assert pa.ListArray.from_arrays(*arrow(pieces.prompts(sent, fields))).to_pylist() == chat.encode(texts)
    whole = chat.encode(render(call, table, (2, 0, 1)))
    assert (
        pa.ListArray.from_arrays(*arrow(pieces.prompts(np.arange(len(rows)), np.array([2, 0, 1])))).to_pylist() == whole
    )


def arrow(sequences) -> tuple[pa.Array, pa.Array]:  # type: ignore[no-untyped-def]
    return pa.array(sequences.offsets, type=pa.int32()), pa.array(sequences.items)


@pytest.mark.parametrize("name", ACCEPTED)
def test_common_tokenizers_allow_pieces(name: str) -> None:
    assert tokenizer(name).joints.refused == ""
    assert tokenizer(name).joints.marks_start == (name == "Llama 2")


REASONS = [
    "a space behind",
    r"pattern's ,\s is not known",
    "nor is it BPE",
    "BertPreTokenizer",
    "added token ', ",
    "added token ','",
]


@pytest.mark.parametrize(("name", "reason"), list(zip(REFUSED, REASONS, strict=True)))
def test_others_are_refused_with_the_reason(name: str, reason: str) -> None:
    assert reason in tokenizer(name).joints.refused
    assert TokenPieces(tokenizer(name), CALLS[0], encoded([["a", "b", "c"]])).refused


def test_a_refusal_is_needed() -> None:
    chat = ChatTokenizer(REFUSED["tokens that reach over spaces"]().to_str(), "", "")
    chat.__dict__["joints"] = Joints()
    table = encoded([["Kettle", "fine", "x"]])
    got = TokenPieces(chat, CALLS[0], table).prompts(np.arange(1), np.arange(3)).items.tolist()
    assert got != chat.encode(render(CALLS[0], table, (0, 1, 2)))[0]


def test_an_instruction_behind_the_data_that_holds_fields_is_not_cut() -> None:
    assert "holds fields itself" in TokenPieces(tokenizer("GPT-2"), CALLS[-1], encoded([])).refused


def test_rows_without_data_are_the_instruction() -> None:
    chat = tokenizer("GPT-2")
    for call in (CALLS[0], CALLS[2], LLMCall(None, "Say hello.", ())):
        table = encoded([[None] * 3]) if call.fields else encode([], 1)
        ids = TokenPieces(chat, call, table).prompts(np.arange(1), np.arange(len(call.fields))).items
        assert ids.tolist() == chat.encode([call.instruction])[0]


def test_a_cell_is_tokenised_once() -> None:
    chat = tokenizer("GPT-2")
    seen: list[str] = []
    pieces = TokenPieces(chat, CALLS[0], encoded([["Kettle", f"{i}", "same"] for i in range(9)]))

    def noted(texts: list[str]) -> list[list[int]]:
        seen.extend(texts)
        return ChatTokenizer.pieces(chat, texts)

    chat.__dict__["pieces"] = noted
    for _ in range(2):
        pieces.prompts(np.arange(9), np.array([0, 2, 1]))
    del chat.__dict__["pieces"]
    assert sorted(seen) == sorted(
        [' "re view":', ' "a.b":', ' "Kettle",', ' "same",', *(f' "{i}"}}' for i in range(9))]
    )


def test_on_request_prompts_are_tokenised_whole_and_have_the_same_tokens() -> None:
    chat = tokenizer("GPT-2")
    table, rows, fields = encoded([["Kettle", None, "same"], ["Lamp", "it", "same"]]), np.arange(2), np.array([0, 2, 1])
    seen: list[str] = []

    def noted(texts: list[str]) -> list[list[int]]:
        seen.extend(texts)
        return ChatTokenizer.encode(chat, texts)

    chat.__dict__["encode"] = noted
    whole = TokenPieces(chat, CALLS[0], table, by_cell=False).prompts(rows, fields)
    together = TokenPieces(chat, CALLS[0], table).prompts(rows, fields)
    del chat.__dict__["encode"]
    assert len(seen) == 2
    assert whole.to_arrow().equals(together.to_arrow())


@pytest.mark.parametrize("name", ["GPT-2", "Llama 2", "WordPiece"])
def test_lengths_are_the_tokens_of_a_cell(name: str) -> None:
    table = encoded([["Kettle", "It's fine", None], ["Kettle", "", "x"]])
    lengths = TokenPieces(tokenizer(name), CALLS[0], table).lengths
    plain = tokenizer(name)
    frame = len(plain.encode([""])[0])
    for column, (key, texts) in enumerate(zip(NAMES, table.values, strict=True)):
        assert lengths[column][0] == 0
        for code in range(1, len(texts)):
            parts = [f' "{key}":', f' "{texts[code]}",']
            if plain.joints.marks_start:
                parts = [part[1:] for part in parts]
            assert lengths[column][code] == sum(len(ids) - frame for ids in plain.encode(parts))
    template = TokenPieces(tokenizer(name), CALLS[5], table).lengths
    assert [part.tolist() for part in (template[0], template[1][:1])] == [[0, 0], [0]]


def test_cells_in_tokens_are_the_tokens_that_prompts_share() -> None:
    chat = ChatTokenizer(ACCEPTED["GPT-2"]().to_str(), "", "")
    table = encoded([["Kettle", f"{i} unlike", "x"] for i in range(5)])
    pieces, fields = TokenPieces(chat, CALLS[0], table), np.array([0, 2, 1])
    predicted = cells(table.codes, pieces.lengths, np.arange(5), fields)
    found = tokens(pieces.prompts(np.arange(5), fields))
    begin = len(chat.beginnings(['Is it good?\n\n{"name":'])[0]) - len(chat.pieces([' "name":'])[0])
    behind = len(chat.pieces([' "re view":'])[0])  # the next name is alike, and the space and the quote behind it
    more = found.hits[1:] - predicted.hits[1:] - begin - behind
    assert set(more.tolist()) <= {1, 2}
