"""A model's tokenizer for data: the same, but that no text gives a token that opens or closes a turn.

`tokenizers` takes control tokens for text where `encode_special_tokens` is set, and leaves three ways to them: those
that a model's files do not call special (Qwen's `<think>`, DeepSeek's user and assistant); a vocabulary that has them
as pieces (Unigram: `</s>` scores best), or whose merges or whole words lead to them; and SentencePiece's `<0x22>`,
which written out in a text would be the byte of a quote. Here those tokens get names that no text holds.
"""

from __future__ import annotations

import json
import re
import secrets
import unicodedata
from typing import Any

__all__ = ["BYTES_APART", "control_tokens", "without_control_tokens"]

_MARKUP = re.compile(r"[<>\[\]{}|]")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
# Between `<0x` and `22>` a new word begins; no space is in it, so that it changes no joint (joints.py).
BYTES_APART = {"type": "Split", "pattern": {"String": "<0x"}, "behavior": "Isolated", "invert": False}


def control_tokens(added: list[dict[str, Any]], frame: str) -> frozenset[str]:
    """Which of a tokenizer's added tokens are no words of a text.

    Those that its files call special; names with brackets; and what else the chat frame is made of. Others stay what
    they are: words that were added for a field, and runs of spaces and line breaks.

    >>> added = [("<s>", True), ("<think>", False), ("Kettle", False), ("\\n\\n", False), ("USER:", False)]
    >>> tokens = [{"content": content, "special": special} for content, special in added]
    >>> sorted(control_tokens(tokens, "USER: "))
    ['<s>', '<think>', 'USER:']

    Args:
        added: as tokenizer.json has them.
        frame: what the chat template puts around a message.
    """
    return frozenset(
        token["content"]
        for token in added
        if token["content"].strip() and (token["special"] or _is_control(token["content"], frame))
    )


def without_control_tokens(tokenizer_json: str, frame: str) -> str:
    """tokenizer.json for texts in which nothing is a control token; all token ids stay as they are.

    Args:
        tokenizer_json: the model's own.
        frame: what the chat template puts around a message.
    """
    state = json.loads(tokenizer_json)
    names = {content: secrets.token_hex(16) for content in control_tokens(state["added_tokens"], frame)}
    for token in state["added_tokens"]:
        if token["content"] in names:
            token |= {"content": names[token["content"]], "special": True, "normalized": False}
            token |= {"single_word": False, "lstrip": False, "rstrip": False}
    _rename(state["model"], names)
    if state["model"]["type"] == "Unigram" and state["model"].get("byte_fallback"):
        parts = [state["pre_tokenizer"]] if state["pre_tokenizer"] else []
        state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*parts, BYTES_APART]}
    # It would put the tokens of the frame around a text, which names them.
    state["post_processor"] = None
    return json.dumps(state, ensure_ascii=False)


def _is_control(content: str, frame: str) -> bool:
    markup = _MARKUP.search(unicodedata.normalize("NFKC", content))
    named = any(map(str.isalnum, content))
    return bool(named and markup) or (content in frame and not content.isalnum())


def _rename(model: dict[str, Any], names: dict[str, str]) -> None:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
        return
    model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if model["type"] == "BPE":
        bytes_too = bool(model.get("byte_fallback"))
        model["merges"] = [merge for merge in model["merges"] if not _leads_to(merge, names, bytes_too)]


def _leads_to(merge: Any, names: dict[str, str], bytes_too: bool) -> bool:
    """Whether a merge makes a control token, or a byte's name, or begins with one."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    whole = left + right
    return whole in names or left in names or right in names or (bytes_too and bool(_BYTE.fullmatch(whole)))
