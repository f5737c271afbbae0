"""explain(): what a query will ask of the model, from its plan, its statistics and a sample of its rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkllm.calls import LLMCall
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.optimizer.ordering import upper_bounds
from sparkllm.optimizer.ordering.solve import shared_cells
from sparkllm.prompt_sample import ROWS, PromptSample, sample_prompts
from sparkllm.report_table import ReportTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["CallEstimate", "QueryEstimate", "Sampled", "explain"]


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
        sampled: None where its fields are another call's answers, or where it has none.
        kept: share of the rows that filters over other answers are expected to leave, which no sample can tell.
    """

    call: LLMCall
    model: str
    field_order: str
    expected: str
    together: bool
    stops: bool
    sampled: Sampled | None
    kept: float = 1.0


@dataclass(frozen=True)
class QueryEstimate(ReportTable):
    """What a query will ask; `print` shows it as a table, a notebook too."""

    calls: tuple[CallEstimate, ...]

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("LLM estimate", "no model was asked" if self.calls else "the query asks no model")]
        for call in self.calls:
            lines += [("call", str(call.call)), ("  model", call.model)]
            lines += _unsampled(call) if call.sampled is None else _sampled(call, call.sampled)
        return lines


def explain(query: DataFrame | str, spark: SparkSession | None = None, rows: int = ROWS) -> QueryEstimate:
    """What a query will ask of the model, before it does: calls, prompt tokens and prefix hits of each `llm(...)`.

    Runs one Spark job for each call, which reads the first `rows` rows that the call would get, with all that the
    query does below it, as LIMIT would; asks no model, and starts no engine. A call over another one's answers is
    `unknown`; where a filter over such answers stands below a call, its rows are those before the filter.

    Args:
        query: a DataFrame, or the text of a query.
        spark: the session of a text; the active one when left out.
        rows: most rows of a sample.

    Raises:
        SparkLLMError: there is no session.
        pyspark.errors.AnalysisException: the query is wrong, or a command such as INSERT.
    """
    from sparkllm.spark_session import planned_calls

    session, planned = planned_calls(query, spark)
    config = LLMConfig.from_spark({k: v for k, v in session.conf.getAll.items() if k.startswith(PREFIX)})
    return QueryEstimate(tuple(_estimate(json.loads(text), frame, config, rows) for text, frame in planned))


def _estimate(plan: dict[str, Any], frame: DataFrame | None, config: LLMConfig, rows: int) -> CallEstimate:
    call = LLMCall.from_json(json.dumps(plan["call"]))
    sampled = None if frame is None else _shown(sample_prompts(call, plan["model"], frame, config, rows))
    given = {name: plan[name] for name in ("model", "field_order", "expected", "together", "stops", "kept")}
    return CallEstimate(call=call, sampled=sampled, **given)


def _shown(found: PromptSample) -> Sampled:
    tokens, static, hits = int(found.lengths.sum()), int(found.counts.static.sum()), found.counts.predicted
    bounds = upper_bounds(found.pieces.cells, pairs=False)
    fields = [found.call.fields[int(i)] for i in found.order.written.split(",") if i] if not found.order.per_row else ()
    return Sampled(
        rows=found.rows,
        whole=found.whole,
        field_order=tuple(fields),
        calls=len(found.lengths),
        prompt_tokens=tokens,
        hits=int(hits.sum()) / max(1, tokens),
        data_hits=int((hits - found.counts.static).clip(0).sum()) / max(1, tokens - static),
        shared=shared_cells(found.pieces.cells, found.sent, found.fields) / max(1, bounds.total),
        most_shared=bounds.hit_rate,
        tokens_by=found.tokens_by,
    )


def _unsampled(call: CallEstimate) -> list[tuple[str, str]]:
    lines = [("  field order", call.field_order)] if len(call.call.fields) > 1 else []
    return [*lines, ("  expected calls", f"{call.expected} (by statistics; its rows were not read)")]


def _sampled(call: CallEstimate, found: Sampled) -> list[tuple[str, str]]:
    lines = []
    if len(call.call.fields) > 1:
        lines = [("  field order", ", ".join(found.field_order) or "one for each row")]
    of = ("" if found.whole else " of them") + ("; fewer where the LIMIT is met earlier" if call.stops else "")
    apart = "" if call.together or found.calls == found.rows else "; equal prompts of different tasks are asked again"
    fewer = "" if call.kept == 1 else f"; filters over other answers leave about {100 * call.kept:.0f} % of them"
    return [
        *lines,
        ("  rows", f"{found.rows:,}" if found.whole else f"more than {found.rows:,}; for the first {found.rows:,}"),
        ("  expected calls", f"{found.calls:,}{of}{apart}{fewer}"),
        ("  prompt tokens", f"about {found.prompt_tokens:,} ({found.tokens_by})"),
        ("  prefix hits, data", f"about {100 * found.data_hits:.1f} % (from a cold cache)"),
        ("  prefix hits, prompt", f"about {100 * found.hits:.1f} % (from a cold cache)"),
        (
            "  whole fields shared",
            f"{100 * found.shared:.1f} %, at most {100 * found.most_shared:.1f} % in any order",
        ),
        ("  by statistics alone", call.expected),
    ]
