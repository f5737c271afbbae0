"""Texts of megabytes: what they cost a worker before anything is sent."""

from __future__ import annotations

import time
from importlib import resources

import pyarrow as pa
from tokenizers import Tokenizer

from sparkllm.udf.tokens import ChatTokenizer
from sparkllm.udf.windows import windows

TOKENIZER = resources.files("sparkllm").joinpath("demo", "model", "tokenizer.json").read_text(encoding="utf-8")
CONTEXT = 2048
MEGABYTE = "word " * 200_000


def test_of_a_text_far_too_long_only_the_beginning_is_tokenised() -> None:
    bounded, whole = ChatTokenizer(TOKENIZER, "", "", CONTEXT), ChatTokenizer(TOKENIZER, "", "")
    [ids], [all_ids] = bounded.encode([MEGABYTE]), whole.encode([MEGABYTE])
    assert CONTEXT < len(ids) < len(all_ids) / 20
    assert ids[:CONTEXT] == all_ids[:CONTEXT]


def test_a_text_of_many_characters_and_few_tokens_is_tokenised_whole() -> None:
    whole = ChatTokenizer(TOKENIZER, "", "")
    own = Tokenizer.from_str(TOKENIZER)
    vocabulary = own.get_vocab(with_added_tokens=False)
    longest = own.decode([vocabulary[max(vocabulary, key=len)]])
    text = longest * (CONTEXT - 500)
    assert len(longest) > 10
    assert len(text) > 8 * CONTEXT
    [ids] = ChatTokenizer(TOKENIZER, "", "", CONTEXT).encode([text])
    assert ids == whole.encode([text])[0]
    assert len(ids) < CONTEXT


def test_fifty_rows_of_a_megabyte_are_seen_to_be_too_long_within_seconds() -> None:
    bounded = ChatTokenizer(TOKENIZER, "", "", CONTEXT)
    began = time.process_time()
    assert min(map(len, bounded.encode([f"{i} {MEGABYTE}" for i in range(50)]))) > CONTEXT
    assert time.process_time() - began < 3, "whole, they take a quarter of a minute"


def test_rows_of_a_megabyte_come_in_windows_of_some_megabytes() -> None:
    column = pa.array([MEGABYTE] * 100)
    cut = list(windows([column], 256, 16_384))
    assert sum(map(len, cut)) == 100
    assert max(window.nbytes for window in cut) <= 16 * 2**20
