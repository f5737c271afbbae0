"""CallReport: rows and tokens of one call of a query, from the metrics of its LLMEval."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.calls import PER_ROW, LLMCall

__all__ = ["CallReport"]

_REASONS = {
    "null_fields": "all fields null",
    "too_long": "prompt longer than the model takes",
    "truncated": "answer cut at maxTokens",
    "engine_error": "engine error",
    "engine_killed": "the engine died of it",
    "budget": "budget used up",
}


@dataclass(frozen=True)
class CallReport:
    """One call of a query: rows and tokens.

    Attributes:
        call: what was asked.
        field_orders: the fields as they stood in the prompts; as a rule one order, at most one for each engine; none
            where no task ran, () where each row had its own.
        rows: rows that entered LLMEval.
        distinct: distinct prompts among them, as far as one task sees.
        pilot_rows: rows of them that were asked first, to find the order of the query's filters; their requests and
            tokens are counted below.
        requests: prompts sent to vLLM or an endpoint; one that was under way when an engine died counts again when it
            is sent again.
        ledger_rows, ledger_prompts: rows and distinct prompts whose answer was kept from earlier, or asked for by
            another task at that moment.
        prompt_tokens, cached_tokens: tokens of those prompts, and how many of them vLLM found in its KV cache.
        output_tokens: tokens generated.
        static_tokens: those prompt tokens that belong to the chat frame and the instruction, the same in each prompt.
        cached_data_tokens: sum of max(0, cached - static) over the prompts.
        predicted_tokens, predicted_data_tokens: the same two as a cold cache of any size would have served, block by
            block, with the prompts of each task in the order they were sent.
        start_ms: time spent starting engines, in milliseconds, together.
        longest_start_ms: of that, the most in one task: hosts start their engines at the same time.
        pools: rows by kind of replica, empty without a placement.
        model: path or id.
        settings: the session's `spark.sparkllm.*` entries when the query was planned.
        null_fields, too_long, truncated, engine_error, engine_killed, budget: rows that are NULL, by reason; the text
            that `llm()` gives to a prompt of your own may be cut and stays, any other answer is `truncated` then.
    """

    call: LLMCall
    field_orders: tuple[tuple[str, ...], ...]
    rows: int
    distinct: int
    requests: int
    ledger_rows: int
    ledger_prompts: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    static_tokens: int
    cached_data_tokens: int
    predicted_tokens: int
    predicted_data_tokens: int
    start_ms: int
    longest_start_ms: int
    null_fields: int
    too_long: int
    truncated: int
    engine_error: int
    engine_killed: int
    budget: int
    pilot_rows: int
    pools: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def nulls(self) -> dict[str, int]:
        """Rows that are NULL, by the reason in words; reasons without rows are left out."""
        return {text: getattr(self, name) for name, text in _REASONS.items() if getattr(self, name)}

    @classmethod
    def from_raw(cls, raw: dict[str, Any]) -> Self:
        """Of what the Catalyst extension's listener wrote."""
        call = LLMCall.from_json(json.dumps(raw["call"]))
        orders = tuple(_order(call, order) for order in raw["field_orders"])
        counts = {f.name: int(raw[f.name]) for f in fields(cls) if f.type == "int"}
        pools, settings, model = dict(raw.get("pools", {})), dict(raw.get("settings", {})), raw.get("model", "")
        return cls(call, orders, pools=pools, model=model, settings=settings, **counts)

    def lines(self) -> list[tuple[str, str]]:
        """(name, value) of each line of the query's report."""
        lines = [("call", str(self.call))]
        if len(self.call.fields) > 1:
            lines += [("  field order", ", ".join(order) or "one for each row") for order in self.field_orders]
        lines += [("  rows entering LLMEval", f"{self.rows:,}")]
        lines += [(f"  rows on {name}", f"{rows:,}") for name, rows in self.pools.items()]
        lines += [("  distinct prompts", f"{self.distinct:,}")]
        if self.pilot_rows:
            lines += [("  asked first, for the order", f"{self.pilot_rows:,}")]
        if self.ledger_rows or self.ledger_prompts:
            lines += [("  from the ledger", f"{self.ledger_prompts:,} prompts, {self.ledger_rows:,} rows")]
        lines += [
            (f"  requests sent to {'the endpoint' if is_endpoint(self.model) else 'vLLM'}", f"{self.requests:,}"),
            ("  prompt tokens", f"{self.prompt_tokens:,}"),
            ("  cached tokens", f"{self.cached_tokens:,}"),
            ("  output tokens", f"{self.output_tokens:,}"),
        ]
        lines += [("  NULL rows", f"{rows:,}: {reason}") for reason, rows in self.nulls.items()]
        return lines


def _order(call: LLMCall, written: str) -> tuple[str, ...]:
    return () if written == PER_ROW else tuple(call.fields[int(i)] for i in written.split(",") if i)
