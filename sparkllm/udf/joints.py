"""Where a text may be cut, such that its pieces, tokenised one by one, give the token ids of the whole.

The places looked for are single spaces between printable ASCII characters, as in `"a": "1", "b": "2"`; the space goes
with what follows. Two kinds of tokenizers allow such a cut for sure:

    splitting   the pre-tokenizer always begins a new word there, and words are tokenised one by one. GPT-2's pattern
                and its successors (Llama 3, Qwen, o200k, Tekken): every alternative of the pattern is known here, and
                none matches a space behind something else, looks back, or looks further ahead than one character.
                Metaspace that splits (SentencePiece).
    vocabulary  there are no such words (Llama 2, Gemma), but no token has a space behind the character in front of the
                cut. BPE only ever joins neighbours into tokens of its vocabulary, so no merge reaches over the cut, and
                what is merged on one side never depends on the other.

All else is refused: whole prompts are tokenised then.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models

from sparkllm.udf.control_tokens import BYTES_APART

__all__ = ["Joints"]

_WORD_MARK, _BYTE_SPACE = "▁", "Ġ"
_SPACES = r"\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_ALTERNATIVES = frozenset(
    [
        *("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", _ENDINGS, r"'(?i:[sdmt]|ll|ve|re)"),
        *(r" ?\p{L}+", r"[^\r\n\p{L}\p{N}]?\p{L}+", r"[^\r\n\p{L}\p{N}]?+\p{L}+", r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+"),
        *(rf"[^\r\n\p{{L}}\p{{N}}]?{a}{b}{end}" for a, b in ((f"{_UPPER}*", f"{_LOWER}+"), (f"{_UPPER}+", f"{_LOWER}*"))
          for end in ("", f"{_ENDINGS}?")),
        *(r" ?\p{N}+", r"\p{N}+", r"\p{N}", r"\p{N}{1,3}", r"\p{N}{1,3}+"),
        *(r" ?[^\s\p{L}\p{N}]+", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r" ?[^\s\p{L}\p{N}]++[\r\n]*"),
        *(r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"),
        *(r"\s*[\r\n]+", r"\s*[\r\n]", r"\s+(?!\S)", _SPACES),
    ]
)  # fmt: skip
# An alternative's own `|` stand in brackets or parentheses.
_BETWEEN = re.compile(r"\|(?![^(]*\))(?![^\[]*\])")
_CUT = re.compile(r"(?<=[!-~]) (?=[!-~])")
_NEEDED = (":", ",")  # what stands in front of the cuts of the data


class _RefusedError(Exception):
    """Why a tokenizer's texts are not cut."""


@dataclass(frozen=True)
class Joints:
    """What is known of a tokenizer.

    Attributes:
        refused: why texts are not cut; empty where they may be.
        unsafe: characters behind which a cut would part a token.
        marks_start: the tokenizer puts a space before every text by itself: a piece is given to it without its own.
    """

    refused: str = ""
    unsafe: frozenset[str] = frozenset()
    marks_start: bool = False

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Joints:
        """Read the rule off a tokenizer for texts (`control_tokens`)."""
        try:
            marked, marks_start = _normalizer(_parts(tokenizer.normalizer, "normalizers"))
            splits, mark = _pre_tokenizer(_parts(tokenizer.pre_tokenizer, "pretokenizers"), marked)
            _added(tokenizer, marks_start)
            unsafe = frozenset() if splits else _before_space(tokenizer, mark)
            if parted := unsafe.intersection(_NEEDED):
                raise _RefusedError(f"tokens of the vocabulary have a space behind {', '.join(sorted(parted))}")
        except _RefusedError as why:
            return cls(str(why))
        return cls("", unsafe, marks_start)

    def first_cut(self, text: str) -> int:
        """The first place where `text` may be cut, before a space; its length where there is none.

        >>> Joints().first_cut("Is it good?"), Joints(unsafe=frozenset("s")).first_cut("Is it good?")
        (2, 5)
        """
        cuts = (match.start() for match in _CUT.finditer(text))
        return next((at for at in cuts if not self.refused and text[at - 1] not in self.unsafe), len(text))


def _parts(component: Any, inside: str) -> list[dict[str, Any]]:
    if component is None:
        return []
    state = json.loads(component.__getstate__())
    parts = list(state[inside]) if state["type"] == "Sequence" else [state]
    return [part for part in parts if part != BYTES_APART]


def _normalizer(parts: list[dict[str, Any]]) -> tuple[bool, bool]:
    """(spaces become marks, one is put in front); Unicode's own forms change nothing beside ASCII."""
    marked = marks_start = False
    for part in parts:
        if part["type"] == "Replace" and (part["pattern"], part["content"]) == ({"String": " "}, _WORD_MARK):
            marked = True
        elif part["type"] == "Prepend" and part["prepend"] == _WORD_MARK and not marked:
            marks_start = True
        elif part["type"] not in ("NFC", "NFD", "NFKC", "NFKD"):
            raise _RefusedError(f"its normalizer {part['type']} is not known")
    if marks_start and not marked:
        raise _RefusedError("its normalizer marks the start and not the spaces")
    return marked, marks_start


def _pre_tokenizer(parts: list[dict[str, Any]], marked: bool) -> tuple[bool, str]:
    """(a word begins at every cut, what a space is called in the vocabulary)."""
    splits, mark = False, _WORD_MARK if marked else " "
    for part in parts:
        kind = part["type"]
        if kind == "Metaspace" and len(parts) == 1 and part["replacement"] == _WORD_MARK:
            splits, mark = part["split"], _WORD_MARK
        elif kind == "ByteLevel" and mark == " ":
            splits, mark = splits or part["use_regex"], _BYTE_SPACE
        elif kind == "Split" and mark == " " and "Regex" in part["pattern"] and part["behavior"] == "Isolated":
            alternatives = _BETWEEN.split(part["pattern"]["Regex"])
            if unknown := [one for one in alternatives if one not in _ALTERNATIVES]:
                raise _RefusedError(f"its pattern's {unknown[0]} is not known")
            splits = splits or _SPACES in alternatives
        elif not (kind == "Digits" or (kind == "Split" and marked and part["pattern"] == {"String": " "})):
            raise _RefusedError(f"its pre-tokenizer {kind} is not known")
    return splits, mark


def _added(tokenizer: Tokenizer, marks_start: bool) -> None:
    """Tokens that are found in a text before all else."""
    for token in tokenizer.get_added_tokens_decoder().values():
        if not token.special and (token.rstrip or marks_start or re.search(r"\S\s", token.content)):
            raise _RefusedError(f"its added token {token.content!r} may reach over a cut")


def _before_space(tokenizer: Tokenizer, mark: str) -> frozenset[str]:
    model = tokenizer.model
    if not isinstance(model, models.BPE):
        raise _RefusedError("it neither splits at spaces nor is it BPE")
    if model.dropout or model.ignore_merges or model.continuing_subword_prefix or model.end_of_word_suffix:
        raise _RefusedError("its BPE looks at whole words")
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    if mark not in vocabulary:
        raise _RefusedError("its vocabulary has no space")
    inner = re.compile(f"[^{mark}](?={mark})")
    return frozenset(before for token in vocabulary for before in inner.findall(token))
