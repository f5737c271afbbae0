"""How long an answer will be, before there is one."""

from __future__ import annotations

from sparkllm.answer_schema import example
from sparkllm.calls import LLMCall
from sparkllm.config import LLMConfig
from sparkllm.udf.tokens import PromptTokenizer

__all__ = ["SHARE", "answer_tokens"]

SHARE = 0.5  # of maxTokens: assumed for answers whose length nobody knows
_END = 1  # the token that ends an answer is computed too


def answer_tokens(
    call: LLMCall, tokenizer: PromptTokenizer, config: LLMConfig, expected: float | None = None
) -> tuple[float, str]:
    """Mean tokens of a call's answers, and where the figure is from; empty where it is counted.

    One of the labels: their mean. A typed answer without texts and lists: that of an example. All others cannot be
    known: `expected`, else half of `maxTokens`, which is an assumption and no measurement.
    """
    if call.choices:
        return sum(_tokens(tokenizer, label) for label in call.choices) / len(call.choices) + _END, ""
    if expected is not None:
        return float(expected), ""
    shown = example(call.schema) if call.schema else None
    if shown is not None:
        return float(_tokens(tokenizer, shown) + _END), ""
    tokens = SHARE * (call.max_tokens or config.max_tokens)
    return tokens, f"answers of {tokens:,.0f} tokens assumed, {SHARE:.0%} of maxTokens: give output_tokens if you know"


def _tokens(tokenizer: PromptTokenizer, text: str) -> int:
    return len(tokenizer.opening(text)) - len(tokenizer.opening(""))
