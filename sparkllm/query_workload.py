"""workload(): what a query will ask, as placement takes it: prompts by input and output tokens, with prefix hits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sparkllm.backend.placement.workload import Bucket, Workload
from sparkllm.call_forecast import Forecast, Look, forecast, together, unread_forecast
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError
from sparkllm.planned_query import PlannedCall, PlannedQuery
from sparkllm.prompt_sample import EXACT, ROWS, tokenizer_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["asked_models", "workload"]

_LEFT = ["it stands over answers too, those rows are left out"]


def workload(
    query: DataFrame | str, spark: SparkSession | None = None, rows: int = ROWS, output_tokens: float | None = None
) -> Workload:
    """What a query will ask of the model, before it does: prompts by tokens, for sparkllm.backend.placement.plan.

    Reads the first `rows` rows of each call, as explain() does, and counts the tokens of their prompts and the prefix
    hits in the order in which they would be sent. Where a call has more rows, one more Spark job counts all of them by
    the bytes of their fields, and distinct ones to about 2 %. Asks no model, and starts no engine. At most twelve
    buckets for each call, cut by bytes, so that Spark can tell a row's bucket without a tokenizer; `rows` of a bucket
    are prompts: equal rows count once, once for each task where they do not meet in one, all where dedup is off.

    Limits: prefix hits are those of the sample in one task with a cache that drops nothing; more rows of the same kind
    share more. Rows too long for the model, which are not asked, are counted. Filters over other answers below a call
    keep the share of rows that the optimizer expects of them. A call over answers of another one has as many rows as
    the plan's statistics expect, else as many as that call, and fields of 50 tokens. `notes` say what was assumed.

    Args:
        query: a DataFrame, or the text of a query.
        spark: the session of a text; the active one when left out.
        rows: most rows of a sample.
        output_tokens: mean tokens of answers that are texts, or hold some; when left out half of `maxTokens` is
            assumed. Labels and typed answers of numbers are counted by themselves.

    Raises:
        ConfigError: `rows` is not positive, or the query asks no model, or has no rows to ask about.
        SparkLLMError: there is no session.
        pyspark.errors.AnalysisException: the query is wrong, or a command such as INSERT.
    """
    if rows < 1:
        raise ConfigError(f"workload() takes rows of 1 or more, got {rows}")
    planned, look = PlannedQuery.of(query, spark), Look(rows, output_tokens, count="about")
    groups: dict[str, list[PlannedCall]] = {}
    for call in planned.calls:
        groups.setdefault(str(call), []).append(call)
    found: list[Bucket] = []
    notes: list[str] = []
    # calls that read rows come first: calls over their answers have no more rows than they
    for alike in sorted(groups.values(), key=lambda calls: any(call.frame is None for call in calls)):
        read = [one for one in alike if one.frame is not None]
        forecasts = [forecast(one, planned.config, look) for one in read]
        forecasts = forecasts or [unread_forecast(alike[0], planned.config, look, found)]
        said = list(_said(forecasts, planned.config)) + (_LEFT if 0 < len(read) < len(alike) else [])
        found, notes = [*found, *together(forecasts)], [*notes, *(f"{alike[0]}: {text}" for text in said)]
    if not found:
        raise ConfigError(
            "the query has no rows to ask the model about" if planned.calls else "the query asks no model"
        )
    return Workload(tuple(found), tuple(notes))


def asked_models(query: DataFrame | str, spark: SparkSession | None = None) -> tuple[str, ...]:
    """Path or id of each model that a query asks, in the order of its calls."""
    return PlannedQuery.of(query, spark).models


def _said(forecasts: Sequence[Forecast], config: LLMConfig) -> Iterable[str]:
    """What was assumed of calls that are written alike."""
    first = forecasts[0]
    tokens_by = tokenizer_of(first.planned.call, first.planned.model, config)[1]
    yield from filter(None, [first.assumed, f"tokens by {tokens_by}" if tokens_by != EXACT else ""])
    for one in forecasts:
        yield from one.notes
        kept = one.planned.plan["kept"]
        if one.sample is not None and not one.sample.whole:
            yield (
                f"{one.rows:,.0f} rows counted; their tokens and prefix hits are taken from the first "
                f"{one.sample.rows:,}, and more rows share more"
            )
        if kept < 1:
            yield f"filters over other answers are expected to leave {100 * kept:.0f} % of its rows"
        if one.sample is not None and one.planned.plan["stops"]:
            yield "fewer rows where the LIMIT is met earlier"
