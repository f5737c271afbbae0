"""Tokenizers of the kinds that models have, small ones, trained on prompts."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

__all__ = ["ACCEPTED", "REFUSED"]

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN = LLAMA_3.replace("{1,3}", "")
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_O200K_END = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_O200K_END}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_O200K_END}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = O200K.replace(_O200K_END, "").replace("{1,3}", "")
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
MARKS = LLAMA_3.replace(r"]?\p{L}+", r"]?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")

TEXTS = [
    'Is it good?\n\n{"name": "Kettle", "review": "It\'s  boiling fast, \\"really\\" fast"}',
    'Is it good?\n\n{"name": "Kettle 2000", "review": "", "a.b": "12, 34: 5"}',
    '{"name": "Kettle", "review": "don\'t: never, ever"}\n\nWhat is it, then?',
    'Classify the data below: {"x": "y", "y": "x", "z": ", , ,"} ▁ Ġ é 日本語',
] * 20


def demo() -> Tokenizer:
    """The shipped model's."""
    text = resources.files("sparkllm").joinpath("demo", "model", "tokenizer.json").read_text(encoding="utf-8")
    return Tokenizer.from_str(text)


def byte_level(*splits: str, regex: bool = False, nfc: bool = False, prefix: bool = False) -> Tokenizer:
    """Byte-level BPE behind patterns that split."""
    made = Tokenizer(models.BPE())
    parts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splits]
    last = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)
    made.pre_tokenizer = pre_tokenizers.Sequence([*parts, last]) if parts else last
    if nfc:
        made.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return train(made, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False))


def metaspace(split: bool, scheme: str = "first") -> Tokenizer:
    """SentencePiece's BPE as it is written today; its words never cross a space."""
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>"], show_progress=False)
    made = train(made, trainer)
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    return made


def llama_2() -> Tokenizer:
    """SentencePiece's BPE as Llama 2 has it: spaces are marked by the normalizer, and there are no words."""
    made = metaspace(split=True)
    made.pre_tokenizer = None  # type: ignore[assignment] # that is how it is taken away
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return made


def gemma() -> Tokenizer:
    """The same without a mark at the start; its pre-tokenizer finds no space any more."""
    made = llama_2()
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    return made


def unigram(split: bool) -> Tokenizer:
    """SentencePiece's other model."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(split=split)
    return train(made, trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", special_tokens=["<unk>"]))


def word_piece() -> Tokenizer:
    """BERT's."""
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return train(made, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False))


def with_added(content: str, **settings: bool) -> Tokenizer:
    """One that knows a word more, and not as a special token."""
    made = demo()
    made.add_tokens([AddedToken(content, normalized=False, **settings)])
    return made


def train(tokenizer: Tokenizer, trainer: trainers.Trainer) -> Tokenizer:
    """On the prompts above."""
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


ACCEPTED: dict[str, Callable[[], Tokenizer]] = {
    "the shipped model's": demo,
    "GPT-2": lambda: byte_level(regex=True),
    "GPT-2 with a space before the text": lambda: byte_level(regex=True, prefix=True),
    "Llama 3": lambda: byte_level(LLAMA_3),
    "Qwen": lambda: byte_level(QWEN, nfc=True),
    "o200k": lambda: byte_level(O200K),
    "Tekken": lambda: byte_level(TEKKEN),
    "cl100k": lambda: byte_level(CL100K),
    "marks with their letters": lambda: byte_level(MARKS),
    "numbers first": lambda: byte_level(r"\p{N}{1,3}", LLAMA_3),
    "Metaspace": lambda: metaspace(split=True),
    "Metaspace, always": lambda: metaspace(split=True, scheme="always"),
    "Metaspace without words": lambda: metaspace(split=False),
    "Llama 2": llama_2,
    "Gemma": gemma,
    "Unigram": lambda: unigram(split=True),
    "an added word": lambda: with_added("Kettle", lstrip=True),
}
REFUSED: dict[str, Callable[[], Tokenizer]] = {
    "tokens that reach over spaces": byte_level,
    "a pattern that is not known": lambda: byte_level(r",\s|\p{L}+|\s+"),
    "Unigram without words": lambda: unigram(split=False),
    "WordPiece": word_piece,
    "an added word with a space": lambda: with_added(', "review"'),
    "an added word that takes the space behind it": lambda: with_added(",", rstrip=True),
}
