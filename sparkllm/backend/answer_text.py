"""From an answer's token ids to its value: what the model thought aloud is cut, and a broken value is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparkllm.backend.engine import Answer, Sampling
from sparkllm.backend.thoughts import Cut, Thoughts, cut_thoughts

__all__ = ["AnswerReader", "why_no_value"]


class AnswerReader:
    """Reads the answers of one model.

    Args:
        tokenizer: the model's `tokenizers.Tokenizer`.
        thoughts: the marks around what it thinks aloud; None where it does not.
    """

    def __init__(self, tokenizer: Any, thoughts: Thoughts | None = None) -> None:
        self._tokenizer, self._thoughts = tokenizer, thoughts

    def thinks_first(self, prompt: Sequence[int]) -> bool:
        """Whether the answer to this prompt begins inside a thought that an answer's form can wait for."""
        thoughts = self._thoughts
        return thoughts is not None and thoughts.may_hold_after and thoughts.left_open(prompt, self._tokenizer)

    def read(
        self, prompt: Sequence[int], ids: Sequence[int], finish: str | None, sampling: Sampling, cached: int = 0
    ) -> Answer:
        """One answer.

        Args:
            prompt: token ids.
            ids: token ids of the answer, the one that ended it included.
            finish: vLLM's reason: stop, length, or what else ended it.
            sampling: what was asked for.
            cached: tokens of the prompt that came from the KV cache.
        """
        counts = (len(prompt), cached, len(ids))
        if finish not in ("stop", "length"):
            return Answer(None, f"the engine ended the request: {finish}", *counts)
        # The token that ended the answer is not part of it.
        answer = self._without_thoughts(prompt, ids[:-1] if finish == "stop" else ids, sampling)
        wrong = why_no_value(answer, finish == "length", len(ids), sampling)
        return Answer(None, wrong[0], *counts, truncated=wrong[1]) if wrong else Answer(answer.text, None, *counts)

    def _without_thoughts(self, prompt: Sequence[int], ids: Sequence[int], sampling: Sampling) -> Cut:
        held = bool(sampling.choices or sampling.json_schema)
        thoughts = self._thoughts
        if thoughts is None or (held and not self.thinks_first(prompt)):
            return Cut(str(self._tokenizer.decode(list(ids), skip_special_tokens=True)), thought=False, open=False)
        parts = thoughts.parts(ids, self._tokenizer)
        if held:  # a mark inside JSON is the value's own
            after = thoughts.after(parts)
            return Cut(after or "", thought=True, open=after is None)
        return cut_thoughts(parts, thoughts.left_open(prompt, self._tokenizer))


def why_no_value(answer: Cut, cut: bool, tokens: int, sampling: Sampling) -> tuple[str, bool] | None:
    """Why there is no value, and whether it is that it was cut. Errors reach logs: no text that may hold data."""
    raise_it = "raise spark.sparkllm.maxTokens or max_tokens"
    if answer.thought and not answer.text.strip() and (cut or answer.open):
        if not cut:
            return "the model ended its answer inside a thought", False
        why = f"all {tokens} tokens went into the model's thought, before it answered"
        return f"{why}; {raise_it}, or set spark.sparkllm.thinking=off", True
    if cut and (sampling.json_schema or sampling.whole):
        what = "JSON" if sampling.json_schema else "text"
        return f"the answer was cut after {tokens} tokens, before its {what} had ended; {raise_it}", True
    if sampling.choices and answer.text not in sampling.choices:
        why = f"max_tokens={sampling.max_tokens} cut it" if cut else "stop"
        return f"the answer is not one of the labels ({why})", cut
    return None
