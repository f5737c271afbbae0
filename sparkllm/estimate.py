"""explain(): what a query will ask of the model, from its plan, its statistics and a sample of its rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkllm.calls import LLMCall
from sparkllm.config import LLMConfig
from sparkllm.model_tokenizer import RoughTokenizer, model_tokenizer
from sparkllm.optimizer.dedup import dedup
from sparkllm.optimizer.encode import NULL, Encoded, encode
from sparkllm.optimizer.ordering import upper_bounds
from sparkllm.optimizer.ordering.solve import shared_cells
from sparkllm.report_html import report_html
from sparkllm.udf.prefix_counts import PrefixCounter
from sparkllm.udf.prompt import static_text
from sparkllm.udf.prompt_order import PromptOrder
from sparkllm.udf.task import Task
from sparkllm.udf.token_pieces import TokenPieces
from sparkllm.udf.tokens import PromptTokenizer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

__all__ = ["CallEstimate", "QueryEstimate", "Sampled", "explain"]

_ORDER_ROWS = 4096  # as many as the first window of a task shows
_BLOCK = 32  # vLLM's on a CPU as sparkllm sets it; a GPU's 16 serves a little more


@dataclass(frozen=True)
class Sampled:
    """What the sampled rows of one call would ask.

    Attributes:
        rows: rows of the sample.
        whole: they are all rows of the call.
        field_order: the fields as they will stand in the prompts; () where each row has its own order.
        calls: prompts sent for them by one task.
        prompt_tokens: tokens of those prompts.
        hits, data_hits: shares of the prompts' tokens, and of the data's, that a cold cache of any size serves: 0..1.
        shared: share of the data's tokens in cells that the prompt sent before has in the same place, 0..1.
        most_shared: what no order of rows and fields can exceed.
        tokens_by: what counted the tokens.
    """

    rows: int
    whole: bool
    field_order: tuple[str, ...]
    calls: int
    prompt_tokens: int
    hits: float
    data_hits: float
    shared: float
    most_shared: float
    tokens_by: str


@dataclass(frozen=True)
class CallEstimate:
    """One call of a query that has not run.

    Attributes:
        call: what will be asked.
        model: path or id.
        field_order: the fields as they will stand in the prompts, or who will choose: as EXPLAIN has it.
        expected: prompts as the plan's statistics know them: `40`, `at most 100`, `unknown`.
        together: equal prompts of different tasks meet and are asked once.
        stops: a LIMIT above may be met before all rows are asked.
        sampled: None where its rows come from another call, or where it has no fields.
    """

    call: LLMCall
    model: str
    field_order: str
    expected: str
    together: bool
    stops: bool
    sampled: Sampled | None


@dataclass(frozen=True)
class QueryEstimate:
    """What a query will ask; `print` shows it as a table, a notebook too."""

    calls: tuple[CallEstimate, ...]

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self._lines())
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self._lines())

    def _repr_html_(self) -> str:
        return report_html(self._lines(), "")

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("LLM estimate", "no model was asked" if self.calls else "the query asks no model")]
        for call in self.calls:
            lines += [("call", str(call.call)), ("  model", call.model)]
            lines += _unsampled(call) if call.sampled is None else _sampled(call, call.sampled)
        return lines


def explain(query: DataFrame | str, spark: SparkSession | None = None, rows: int = 10_000) -> QueryEstimate:
    """What a query will ask of the model, before it does: calls, prompt tokens and prefix hits of each `llm(...)`.

    Runs one Spark job for each call, which reads the first `rows` rows that the call would get, with all that the
    query does below it, as LIMIT would; asks no model, and starts no engine. What lies above another call is `unknown`:
    its rows are that call's answers.

    Args:
        query: a DataFrame, or the text of a query.
        spark: the session of a text; the active one when left out.
        rows: most rows of a sample.

    Raises:
        SparkLLMError: there is no session.
        pyspark.errors.AnalysisException: the query is wrong, or a command such as INSERT.
    """
    from sparkllm.spark_session import planned_calls

    session, planned = planned_calls(query, spark, rows + 1)  # one more tells whether there are more
    config = LLMConfig.from_spark({k: v for k, v in session.conf.getAll.items() if k.startswith("spark.sparkllm.")})
    return QueryEstimate(tuple(_estimate(json.loads(text), frame, config, rows) for text, frame in planned))


def _estimate(plan: dict[str, Any], frame: DataFrame | None, config: LLMConfig, rows: int) -> CallEstimate:
    call = LLMCall.from_json(json.dumps(plan["call"]))
    sampled = None if frame is None else _sample(call, plan["model"], frame.collect(), config, rows)
    given = {name: plan[name] for name in ("model", "field_order", "expected", "together", "stops")}
    return CallEstimate(call=call, sampled=sampled, **given)


def _sample(call: LLMCall, model: str, read: list[Row], config: LLMConfig, rows: int) -> Sampled:
    """Plan the rows as one task would (sparkllm/udf/evaluation.py)."""
    found = read[:rows]
    encoded = encode([pa.array([row[i] for row in found], pa.string()) for i in range(len(call.fields))], len(found))
    asked = encoded.take(np.flatnonzero((encoded.codes != NULL).any(axis=1)))
    once = config.optimizer_dedup and config.temperature == 0
    own = model_tokenizer(model, config.chat_template)
    tokenizer: PromptTokenizer = own or RoughTokenizer()
    pieces = TokenPieces(tokenizer, call, asked.take(dedup(asked.codes)[0]) if once else asked)
    order = _order(call, tokenizer, asked, config)
    sent, fields = order.of(pieces)
    ids = pieces.prompts(sent, fields)
    counts = PrefixCounter(tokenizer.opening(static_text(call)), config.block_size or _BLOCK).add(ids.to_arrow())
    tokens, static, hits = int(ids.lengths.sum()), int(counts.static.sum()), counts.predicted
    bounds = upper_bounds(pieces.cells, pairs=False)
    return Sampled(
        rows=len(found),
        whole=len(read) <= rows,
        field_order=() if order.per_row else tuple(call.fields[int(i)] for i in order.written.split(",") if i),
        calls=len(ids),
        prompt_tokens=tokens,
        hits=int(hits.sum()) / max(1, tokens),
        data_hits=int((hits - counts.static).clip(0).sum()) / max(1, tokens - static),
        shared=shared_cells(pieces.cells, sent, fields) / max(1, bounds.total),
        most_shared=bounds.hit_rate,
        tokens_by="the model's tokenizer" if own else "four bytes each, the model's tokenizer is not on this machine",
    )


def _order(call: LLMCall, tokenizer: PromptTokenizer, asked: Encoded, config: LLMConfig) -> PromptOrder:
    def sample() -> TokenPieces:
        first = asked.take(np.arange(min(len(asked.codes), _ORDER_ROWS)))
        return TokenPieces(tokenizer, call, first.take(dedup(first.codes)[0]))

    return PromptOrder(Task(call, config, application=""), lambda _, proposal: proposal, sample)


def _unsampled(call: CallEstimate) -> list[tuple[str, str]]:
    lines = [("  field order", call.field_order)] if len(call.call.fields) > 1 else []
    return [*lines, ("  expected calls", f"{call.expected} (by statistics; its rows were not read)")]


def _sampled(call: CallEstimate, found: Sampled) -> list[tuple[str, str]]:
    lines = []
    if len(call.call.fields) > 1:
        lines = [("  field order", ", ".join(found.field_order) or "one for each row")]
    of = ("" if found.whole else " of them") + ("; fewer where the LIMIT is met earlier" if call.stops else "")
    apart = "" if call.together or found.calls == found.rows else "; equal prompts of different tasks are asked again"
    return [
        *lines,
        ("  rows", f"{found.rows:,}" if found.whole else f"more than {found.rows:,}; for the first {found.rows:,}"),
        ("  expected calls", f"{found.calls:,}{of}{apart}"),
        ("  prompt tokens", f"about {found.prompt_tokens:,} ({found.tokens_by})"),
        ("  prefix hits, data", f"about {100 * found.data_hits:.1f} % (from a cold cache)"),
        ("  prefix hits, prompt", f"about {100 * found.hits:.1f} % (from a cold cache)"),
        (
            "  whole fields shared",
            f"{100 * found.shared:.1f} %, at most {100 * found.most_shared:.1f} % in any order",
        ),
        ("  by statistics alone", call.expected),
    ]
