"""The shipped model's tokenizer: byte-level BPE, so that any Unicode text works, and a chat template."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

__all__ = ["ANSWERS", "BOS", "END", "MAX_LENGTH", "PAD", "SPECIAL", "VOCABULARY", "save_tokenizer", "train_tokenizer"]

BOS, USER, ASSISTANT, END, PAD = SPECIAL = ("<|bos|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>")
ANSWERS = ("negative", "neutral", "positive", "yes", "no", "YES", "NO")
VOCABULARY = 4096
MAX_LENGTH = 2048

_CHAT_TEMPLATE = (
    "{{ '<|bos|>' }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Train byte-level BPE on `texts`; every answer word becomes one token.

    Raises:
        ValueError: an answer word is more than one token: `texts` holds it too rarely.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    for word in ANSWERS:
        pieces = tokenizer.encode(f"{ASSISTANT}\n{word}{END}").tokens
        if len(pieces) != 4:
            raise ValueError(
                f"expected {word!r} to be one token after {ASSISTANT!r}, got {pieces}; add it to the texts"
            )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, which is all that transformers and vLLM read."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [USER, ASSISTANT],
        "model_max_length": MAX_LENGTH,
        "clean_up_tokenization_spaces": False,
        "chat_template": _CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
