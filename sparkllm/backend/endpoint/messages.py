"""Token ids, as workers send them, back to the messages that an endpoint takes.

A worker tokenises with a byte-level BPE, by default the demo model's: its tokens give back every text as it was, which
single bytes would, too, but it makes about as many as other models' tokenizers do, so that lengths, budgets and shared
prefixes mean what they mean elsewhere. What stands around a message are three tokens that no text can give (see
udf/control_tokens.py): no value of a row can begin another message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from sparkllm.backend.chat import AUTO, Chat, Frame
from sparkllm.errors import ConfigError, EngineStartError

__all__ = ["EndpointText", "marked"]

_SYSTEM, _USER, _ANSWER = "<|sparkllm_system|>", "<|sparkllm_user|>", "<|sparkllm_answer|>"
_MARKS = (_SYSTEM, _USER, _ANSWER)
_NORMALIZERS = (None, "NFC")  # the second is the model's own doing: its server would do the same


def marked(files: Mapping[str, Path], name: str) -> str:
    """tokenizer.json of a byte-level tokenizer, with the tokens that stand around messages.

    Args:
        files: of the model, see `model_files`.
        name: what the user calls it.

    Raises:
        EngineStartError: there is none, or it does not give back every text as it was.
    """
    if "tokenizer.json" not in files:
        raise EngineStartError(
            f"a tokenizer.json was expected on the executor's host for {name}, found none "
            f"(spark.sparkllm.endpointVocabulary): fetch it with `hf download {name} tokenizer.json`, or leave the "
            f"setting out to count with ours"
        )
    state = json.loads(files["tokenizer.json"].read_bytes())
    normalizer = (state["normalizer"] or {}).get("type")
    if state["model"]["type"] != "BPE" or '"ByteLevel"' not in json.dumps(state["decoder"]):
        found = state["model"]["type"]
    elif normalizer not in _NORMALIZERS:
        found = f"a normalizer, {normalizer}"
    else:
        return _with_marks(state)
    raise EngineStartError(
        f"spark.sparkllm.endpointVocabulary takes a byte-level BPE, as its tokens become texts again; "
        f"{name} has {found}: leave the setting out to count with ours"
    )


def _with_marks(state: dict[str, Any]) -> str:
    used = [*state["model"]["vocab"].values(), *(token["id"] for token in state["added_tokens"])]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    for number, mark in enumerate(_MARKS, max(used) + 1):
        state["added_tokens"].append({"id": number, "content": mark, **plain})
    state["post_processor"] = None  # what it puts before a text would be part of the message
    return json.dumps(state, ensure_ascii=False)


class EndpointText:
    """Frames and messages.

    Args:
        tokenizer_json: what `marked` made.
    """

    def __init__(self, tokenizer_json: str) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._system, self._user, self._answer = (int(self._tokenizer.token_to_id(mark) or 0) for mark in _MARKS)

    def frame(self, chat: Chat) -> Frame:
        """What stands around the messages of calls such as `chat`.

        Raises:
            ConfigError: a system prompt that holds a mark, or a switch that an endpoint has not.
        """
        if chat.thinking != AUTO:
            raise ConfigError(
                f"spark.sparkllm.thinking={chat.thinking} is for models that vLLM runs here: leave it at auto, and "
                f"give the endpoint its own switch, as in "
                f'spark.sparkllm.endpointOptions={{"reasoning_effort": "minimal"}}'
            )
        if any(mark in chat.system for mark in _MARKS):
            raise ConfigError(f"spark.sparkllm.systemPrompt takes any text but {', '.join(_MARKS)}: leave them out")
        return Frame((_SYSTEM + chat.system if chat.system else "") + _USER, _ANSWER)

    def messages(self, ids: list[int]) -> list[dict[str, str]] | None:
        """What is sent; None where the ids are no prompt in a frame."""
        if ids.count(self._user) != 1 or ids[-1:] != [self._answer]:
            return None
        place = ids.index(self._user)
        user = {"role": "user", "content": self._text(ids[place + 1 : -1])}
        if not place:
            return [user]
        return [{"role": "system", "content": self._text(ids[1:place])}, user] if ids[0] == self._system else None

    def count(self, text: str) -> int:
        """Tokens of a text, where a server does not say."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))
