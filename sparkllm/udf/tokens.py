"""Prompts -> token ids, in the Python worker, inside the model's chat frame."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa
from tokenizers import Tokenizer

from sparkllm.udf.control_tokens import without_control_tokens
from sparkllm.udf.joints import Joints

__all__ = ["ChatTokenizer", "PromptTokenizer", "token_array"]

# English has four or five: what is longer by half is looked at in part first, and whole if that was not enough.
_CHARACTERS_PER_TOKEN = 8
# The tokenizer's own records take some hundred bytes for each token until a batch is done.
_CHARACTERS_AT_A_TIME = 2**21


class PromptTokenizer(Protocol):
    """What counts a prompt's tokens: `ChatTokenizer` says what each method returns."""

    @property
    def joints(self) -> Joints: ...
    @property
    def frame_end(self) -> list[int]: ...
    def encode(self, prompts: list[str]) -> list[list[int]]: ...
    def beginnings(self, texts: list[str]) -> list[list[int]]: ...
    def pieces(self, texts: list[str]) -> list[list[int]]: ...
    def opening(self, text: str) -> list[int]: ...


class ChatTokenizer:
    """The engine's own tokenizer and chat frame.

    The text between the two halves of the frame gives no control token: a review that contains `<|end|>` cannot close
    the user's turn.
    """

    def __init__(self, tokenizer_json: str, chat_prefix: str, chat_suffix: str, most_tokens: int = 0) -> None:
        """`most_tokens`: of a text that has more, no more than its first ones are wanted; 0: all of them."""
        self._most = most_tokens
        own = _uncut(tokenizer_json)
        self._head = own.encode(chat_prefix, add_special_tokens=False).ids
        self._tail = own.encode(chat_suffix, add_special_tokens=False).ids
        self._tokenizer = _uncut(without_control_tokens(tokenizer_json, chat_prefix + chat_suffix))
        self._tokenizer.encode_special_tokens = True

    @functools.cached_property
    def joints(self) -> Joints:
        """Where texts may be cut into pieces."""
        return Joints.of(self._tokenizer)

    @classmethod
    @functools.lru_cache(maxsize=8)
    def shared(cls, tokenizer_json: str, chat_prefix: str, chat_suffix: str, most_tokens: int = 0) -> ChatTokenizer:
        """One tokenizer per process and model: building one takes longer than a small window."""
        return cls(tokenizer_json, chat_prefix, chat_suffix, most_tokens)

    def encode(self, prompts: list[str]) -> list[list[int]]:
        """Token ids of whole prompts: frame, text, frame."""
        return [self._head + ids + self._tail for ids in self._each(prompts)]

    def beginnings(self, texts: list[str]) -> list[list[int]]:
        """Token ids of the frame's first half and each text that prompts begin with, up to a joint."""
        return [self._head + ids for ids in self._each(texts)]

    def pieces(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts that begin and end at a joint, the space before them included."""
        return self._each([text[1:] for text in texts] if self.joints.marks_start else texts)

    @property
    def frame_end(self) -> list[int]:
        """Token ids of the frame's second half."""
        return list(self._tail)

    def opening(self, text: str) -> list[int]:
        """Token ids of the frame's first half and the text that every prompt begins with."""
        return self._head + self._ids(text)

    def closing(self, text: str) -> list[int]:
        """Token ids of the text that every prompt ends with and the frame's second half."""
        return self._ids(text) + self._tail

    def _each(self, texts: list[str]) -> list[list[int]]:
        """Of a text with more than `most_tokens`, at least so many and one more."""
        enough = _CHARACTERS_PER_TOKEN * self._most or sys.maxsize
        ids = self._encode([text[:enough] for text in texts])
        for i, text in enumerate(texts):
            if len(text) > enough and len(ids[i]) <= self._most:
                ids[i] = self._encode([text])[0]
        return ids

    def _encode(self, texts: list[str]) -> list[list[int]]:
        some = _batches(texts, _CHARACTERS_AT_A_TIME)
        return [e.ids for batch in some for e in self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)]

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def _batches(texts: list[str], most: int) -> Iterator[list[str]]:
    """The texts in their order, at most so many characters in a list; a longer one is alone.

    >>> list(_batches(["ab", "c", "defg", "h"], 3))
    [['ab', 'c'], ['defg'], ['h']]
    """
    start = size = 0
    for i, text in enumerate(texts):
        if size and size + len(text) > most:
            yield texts[start:i]
            start, size = i, 0
        size += len(text)
    if texts[start:]:
        yield texts[start:]


def _uncut(tokenizer_json: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = False
    return tokenizer


def token_array(ids: list[list[int]]) -> pa.ListArray:
    """Ragged token ids as Arrow list<int32>."""
    return pa.array(ids, type=pa.list_(pa.int32()))
