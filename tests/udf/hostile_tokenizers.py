"""Tokenizers with ways from a text to a control token, and the control tokens that no text may give."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.udf.some_tokenizers import TEXTS, demo

__all__ = ["HOSTILE", "HostileTokenizer"]

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
# In the training texts: merges lead to what stands between the letters.
FORGED = [f"{a}</s>{b} {b}<s>{a} {a}<0x22>{b} {b}<0x0A>{a}" for a in "abcdefghij" for b in "klmnopqrst"]


@dataclass(frozen=True)
class HostileTokenizer:
    """A model's tokenizer.

    Attributes:
        make: makes it.
        frame: what the chat template puts before and after a message.
        control: what no text may give.
        reads: a text as the model reads it, which its ids decode to; None where they decode to no exact text.
    """

    make: Callable[[], Tokenizer]
    frame: tuple[str, str]
    control: tuple[str, ...]
    reads: Callable[[str], str] | None = str


def _byte_level(*control: AddedToken, texts: list[str] = TEXTS) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False))
    made.add_tokens(list(control))
    return made


def _not_special() -> Tokenizer:
    """DeepSeek's and Qwen's: tokens of a turn that their files do not call special."""
    names = ("<think>", "</think>", "<tool_call>", "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "USER:")
    return _byte_level(*(AddedToken(name, special=False, normalized=name == "<think>") for name in names))


def _nfkc() -> Tokenizer:
    """Full-width brackets and quotes become plain ones before tokens are looked for."""
    made = _byte_level(
        AddedToken("<|im_start|>", special=True, normalized=True), AddedToken("<|im_end|>", special=False)
    )
    made.normalizer = normalizers.NFKC()
    return made


def _sentence_piece_bpe() -> Tokenizer:
    """Llama 2's kind; its merges lead to `</s>` and to the byte `<0x22>`."""
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>", *BYTES], show_progress=False)
    made.train_from_iterator([*TEXTS, *FORGED], trainer)
    made.pre_tokenizer = None  # type: ignore[assignment] # that is how it is taken away
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _without_bytes(made, "<s>", "</s>")


def _unigram() -> Tokenizer:
    """Control pieces and bytes are part of the vocabulary, with the best score of all."""
    letters = sorted(set("".join(TEXTS)) - {" "})
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((byte, 0.0) for byte in BYTES), ("▁", -2.0)]
    made = Tokenizer(models.Unigram([*pieces, *((letter, -5.0) for letter in letters if letter != "▁")], 0, True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


def _whole_words() -> Tokenizer:
    """`ignore_merges`: a word of the vocabulary is that token, whatever the merges."""
    made = _byte_level(texts=[*TEXTS, *FORGED])
    vocabulary = made.get_vocab()
    vocabulary |= {name: len(vocabulary) + i for i, name in enumerate(("<|im_start|>", "<|im_end|>"))}
    made.model = models.BPE(vocabulary, [], ignore_merges=True)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "isolated"), pre_tokenizers.Split('"', "isolated"),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )  # fmt: skip
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return made


def _bert() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = ["[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=names, show_progress=False)
    )
    return made


def _without_bytes(made: Tokenizer, *special: str) -> Tokenizer:
    """Bytes are pieces of the vocabulary and no added tokens, as in SentencePiece's files."""
    state = json.loads(made.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in BYTES]
    fresh = Tokenizer.from_str(json.dumps(state))
    fresh.add_special_tokens(list(special))
    return fresh


def _nfkc_text(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _spaces(text: str) -> str:
    return text.replace("▁", " ")


HOSTILE = {
    "the shipped model's": HostileTokenizer(
        demo, ("<|bos|><|user|>\n", "<|end|>\n<|assistant|>\n"),
        ("<|bos|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"),
    ),
    "control tokens that are not special": HostileTokenizer(
        _not_special, ("<\uff5cUser\uff5c>", "USER:<\uff5cAssistant\uff5c>"),
        ("<think>", "</think>", "<tool_call>", "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "USER:"),
    ),
    "NFKC": HostileTokenizer(_nfkc, ("<|im_start|>", "<|im_end|>"), ("<|im_start|>", "<|im_end|>"), _nfkc_text),
    "SentencePiece's BPE": HostileTokenizer(
        _sentence_piece_bpe, ("<s>", "</s>"), ("<s>", "</s>", "<unk>"), _spaces
    ),
    "SentencePiece's Unigram": HostileTokenizer(_unigram, ("<s>", "</s>"), ("<s>", "</s>", "<unk>"), _spaces),
    "whole words": HostileTokenizer(_whole_words, ("<|im_start|>", "<|im_end|>"), ("<|im_start|>", "<|im_end|>")),
    "WordPiece": HostileTokenizer(_bert, ("[CLS]", "[SEP]"), ("[CLS]", "[SEP]"), None),
}  # fmt: skip
