"""How long an answer will be, before there is one."""

from __future__ import annotations

import json

from sparkllm.answer_schema import example
from sparkllm.backend.endpoint.body import ANSWER
from sparkllm.calls import LLMCall
from sparkllm.config import LLMConfig
from sparkllm.udf.tokens import PromptTokenizer

__all__ = ["SHARE", "answer_tokens"]

SHARE = 0.5  # of maxTokens: assumed for answers whose length nobody knows
_END = 1  # the token that ends an answer is computed too


def answer_tokens(
    call: LLMCall,
    tokenizer: PromptTokenizer,
    config: LLMConfig,
    expected: float | None = None,
    *,
    endpoint: bool = False,
) -> tuple[float, str]:
    """Mean tokens of a call's answers, and where the figure is from; empty where it is counted.

    One of the labels: their mean; an endpoint gives it as `{"answer": "spam"}`, all of which it counts. A typed answer
    without texts and lists: that of an example. All others cannot be known: `expected`, else half of `maxTokens`, which
    is an assumption and no measurement.
    """
    if call.choices:
        given = [json.dumps({ANSWER: label}, ensure_ascii=False) if endpoint else label for label in call.choices]
        tokens = sum(_tokens(tokenizer, text) for text in given) / len(given) + _END
        return tokens, f"labels come as {given[0]}, {tokens:,.1f} tokens each" if endpoint else ""
    if expected is not None:
        return float(expected), ""
    shown = example(call.schema) if call.schema else None
    if shown is not None:
        return float(_tokens(tokenizer, shown) + _END), ""
    tokens = SHARE * (call.max_tokens or config.max_tokens)
    return tokens, f"answers of {tokens:,.0f} tokens assumed, {SHARE:.0%} of maxTokens: give output_tokens if you know"


def _tokens(tokenizer: PromptTokenizer, text: str) -> int:
    return len(tokenizer.opening(text)) - len(tokenizer.opening(""))
