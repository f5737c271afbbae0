"""explain(): what a query will ask of the model, how long that takes and what it costs, before it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparkllm.backend.endpoint.prices import Prices, price_of
from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.backend.placement.catalog import Catalog, load
from sparkllm.call_forecast import Forecast, Look, forecast, unread_forecast
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.errors import ConfigError, SparkLLMError
from sparkllm.gpu_estimate import GPUEstimate, by_gpu
from sparkllm.optimizer.ordering import upper_bounds
from sparkllm.optimizer.ordering.solve import shared_cells
from sparkllm.planned_query import PlannedCall, PlannedQuery
from sparkllm.prompt_sample import ROWS, PromptSample
from sparkllm.query_estimate import CallEstimate, CallTotal, QueryEstimate, Sampled
from sparkllm.speed_settings import answers_nothing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkllm.calibration import Speed

__all__ = ["CallEstimate", "CallTotal", "QueryEstimate", "Sampled", "explain"]


def explain(
    query: DataFrame | str,
    spark: SparkSession | None = None,
    rows: int = ROWS,
    *,
    scan: bool = False,
    calibrate: bool = False,
    output_tokens: float | None = None,
    prices: Prices | None = None,
    catalog: Catalog | str | Path | None = None,
) -> QueryEstimate:
    """What a query will ask of the model, before it does: calls, tokens, prefix hits, seconds and dollars.

    Runs one Spark job for each call, which reads the first `rows` rows that the call would get, with all that the
    query does below it, as LIMIT would; asks no model, and starts no engine. Where there are more rows, their number is
    the one that statistics expect or, with `scan`, counted; a bound is shown and scales nothing. A call over another
    one's answers has the rows that statistics expect, else as many prompts as that one; where a filter over such
    answers stands below a call, its rows are those before the filter. Answers that the ledger has are not left out.

    Seconds and dollars on each GPU type are those of the placement catalogue, for one replica; dollars of an endpoint
    are its price for the tokens. Seconds on this session's own engine are known after a calibration, or from queries
    with this call alone that have asked 256 prompts or more in this application, under the same settings of the engine
    and the answers.

    Args:
        query: a DataFrame, or the text of a query.
        spark: the session of a text; the active one when left out.
        rows: most rows of a sample.
        scan: read all rows: distinct prompts are counted exactly, and the sample is taken from the order of all rows,
            which Spark sorts for it.
        calibrate: ask some hundred prompts of each call, up to 6,688 where they are answered fast, on the session's
            engine, which is started where it does not run, or at its endpoint, and time them; the application remembers
            the speed. Their answers go to the ledger, where that is on; those that it had are asked again. `maxCalls`
            holds for all of them together, `maxSeconds` does not.
        output_tokens: mean tokens of answers that are texts, or hold some; when left out what a calibration or those
            queries have seen, else half of `maxTokens`. Labels and typed answers of numbers are counted by themselves.
        prices: of endpoint models, as `{"NAME": {"input": 0.4, "cached_input": 0.1, "output": 1.6}}` in dollars for a
            million tokens, or a TOML file of that form.
        catalog: GPU types and prices, or a TOML file that adds to the built-in ones.

    Raises:
        SparkLLMError: there is no session.
        ConfigError: `rows` is not positive, a price or a catalogue cannot be read, or a calibration cannot keep to
            `maxTotalTokens` or `maxCost`.
        pyspark.errors.AnalysisException: the query is wrong, or a command such as INSERT.
    """
    if rows < 1:
        raise ConfigError(f"explain() takes rows of 1 or more, got {rows}")
    planned = PlannedQuery.of(query, spark)
    if calibrate:
        _refuse_budget(planned.config)
    types = catalog if isinstance(catalog, Catalog) else load(catalog)
    forecasts = _forecasts(planned, Look(rows, output_tokens, count="scan" if scan else "statistics"))
    speeds = _speeds(planned, forecasts, calibrate)
    if output_tokens is None:
        forecasts = {i: _as_measured(one, speeds.get(i), planned.config) for i, one in forecasts.items()}
    calls = tuple(
        _estimate(call, planned, forecasts.get(i), speeds.get(i), prices) for i, call in enumerate(planned.calls)
    )
    gpus, notes = _by_model(planned, list(forecasts.values()), types)
    return QueryEstimate(calls, gpus, notes, planned.config.cost_per_hour, calibrate)


def _refuse_budget(config: LLMConfig) -> None:
    for name in ("maxTotalTokens", "maxCost"):
        if getattr(config, LLMConfig.spark_keys()[f"{PREFIX}{name}"]):
            raise ConfigError(
                f"calibrate=True asks prompts outside of a query and cannot keep to {PREFIX}{name}, which is set: "
                f"unset it for the estimate, and bound the prompts by {PREFIX}maxCalls"
            )


def _forecasts(planned: PlannedQuery, look: Look) -> dict[int, Forecast]:
    """By the call's number; those that read rows first, as calls over their answers have no more rows than they."""
    found: dict[int, Forecast] = {}
    for i, call in sorted(enumerate(planned.calls), key=lambda one: one[1].frame is None):
        if call.frame is not None:
            found[i] = forecast(call, planned.config, look)
            continue
        try:
            below = [bucket for one in found.values() for bucket in one.buckets]
            found[i] = unread_forecast(call, planned.config, look, below)
        except ConfigError:
            pass  # nobody knows its rows, and the lines of the call say so
    return dict(sorted(found.items()))


def _speeds(planned: PlannedQuery, forecasts: dict[int, Forecast], calibrate: bool) -> dict[int, Speed]:
    """By the call's number; calls whose rows cannot be read are taken to be as fast as another of their model."""
    asked = [one for one in forecasts.values() if calibrate and one.sample is not None and len(one.sample.sent)]
    most = planned.config.max_calls // len(asked) if planned.config.max_calls and asked else None
    found = {i: speed for i, one in forecasts.items() if (speed := _speed(planned, one, one in asked, most))}
    by_model = {forecasts[i].planned.model: speed for i, speed in found.items()}
    lent = {i: by_model[one.planned.model] for i, one in forecasts.items() if one.planned.model in by_model}
    return {i: speed for i, speed in lent.items() if forecasts[i].sample is None} | found


def _speed(planned: PlannedQuery, one: Forecast, calibrate: bool, most: int | None) -> Speed | None:
    from sparkllm import calibration  # late: it needs Spark

    found = None
    if calibrate and one.sample is not None:
        found = calibration.calibrate(planned.session, planned.conf, one.planned, one.sample, most)
    return found or calibration.remembered(planned.session, one.planned, planned.config)


def _as_measured(one: Forecast, speed: Speed | None, config: LLMConfig) -> Forecast:
    """With answers as long as they were seen to be, which is nearer than what is known without."""
    if speed is None or one.sample is None or answers_nothing(config, one.planned.model):
        return one
    buckets = tuple(replace(bucket, output_tokens=speed.output_tokens) for bucket in one.buckets)
    said = f"{speed.output_tokens:,.1f} for each answer, the mean of {speed.prompts:,}"
    return replace(one, answer=speed.output_tokens, assumed=said, buckets=buckets)


def _estimate(
    one: PlannedCall, planned: PlannedQuery, found: Forecast | None, speed: Speed | None, prices: Prices | None
) -> CallEstimate:
    sampled = _shown(found.sample) if found is not None and found.sample is not None else None
    given = {name: one.plan[name] for name in ("model", "field_order", "expected", "together", "stops", "kept")}
    total = None
    if found is not None:
        price = price_of(one.model, planned.config, prices) if is_endpoint(one.model) else None
        counts = (found.prompt_tokens, found.cached_tokens, found.output_tokens)
        total = CallTotal(found.rows, found.calls, found.exact, *counts, found.assumed, speed, price)
    most = one.plan.get("rows_at_most")
    return CallEstimate(call=one.call, sampled=sampled, total=total, rows_at_most=most, **given)


def _by_model(
    planned: PlannedQuery, forecasts: list[Forecast], catalog: Catalog
) -> tuple[dict[str, tuple[GPUEstimate, ...]], tuple[str, ...]]:
    """GPU types by model, and why a model has none."""
    from sparkllm.placing import model_shape, serving

    found: dict[str, tuple[GPUEstimate, ...]] = {}
    notes: list[str] = []
    for model in (model for model in planned.models if not is_endpoint(model)):
        buckets = [bucket for one in forecasts if one.planned.model == model for bucket in one.buckets]
        try:
            found[model] = by_gpu(buckets, model_shape(model), catalog, serving(planned.config))
        except SparkLLMError as error:
            notes.append(str(error))
    return found, tuple(notes)


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
