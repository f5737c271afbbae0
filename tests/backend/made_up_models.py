"""Model folders without weights: a small tokenizer and a chat template of one of the kinds that models have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

__all__ = ["CHATML", "GEMMA", "QWEN_3", "R1", "made_up_model", "tokenizer_of"]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Raises for a system prompt, trims, and begins with the text's first token.
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] | trim }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
# Leaves an empty thought where the switch is off, and nothing where it is on or not given.
QWEN_3 = CHATML.replace(
    "assistant\n{%",
    "assistant\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{%",
)
# Has no switch, and opens the thought itself.
R1 = CHATML.replace("assistant\n{%", "assistant\n<think>\n{%")

_SPECIAL = ("<s>", "<|im_start|>", "<|im_end|>")
_TEXTS = [
    "user\nIs it good?\n\nHm. Let me think. yes no\n\nAnswer:\n",
    "system\nassistant\nmodel\nBe brief.",
    "yes\n\n",
] * 9


def tokenizer_of(plain: tuple[str, ...] = ("<think>", "</think>"), special: tuple[str, ...] = ()) -> Tokenizer:
    """Byte-level BPE with `plain` as tokens that are not called special, as Qwen's are, and `special` as such."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        _TEXTS,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=list(_SPECIAL), initial_alphabet=alphabet, show_progress=False
        ),
    )
    made.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in plain])
    made.add_special_tokens(list(special))
    made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", made.token_to_id("<s>"))])
    return made


def made_up_model(folder: Path, template: Any = None, tokenizer: Tokenizer | None = None, **files: str) -> Path:
    """A folder with a tokenizer, and `template` in its tokenizer_config.json.

    Args:
        folder: is made.
        template: a text, a list of named ones, or None.
        tokenizer: `tokenizer_of()` where it is not given.
        files: more texts, by file name with `__` for a dot and `___` for a slash.
    """
    folder.mkdir()
    (tokenizer or tokenizer_of()).save(str(folder / "tokenizer.json"))
    end = {"__type": "AddedToken", "content": "<|im_end|>", "special": True}
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": end}
    config |= {"chat_template": template} if template is not None else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    for name, text in files.items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder
