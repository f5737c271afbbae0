"""How fast this engine answers a call: a short sample of its prompts is asked, and timed.

Two kinds of parts are timed: neighbours in the order of the prompts, of which the KV cache serves much, and prompts
from all over, of which it serves little. What they differ in tells what a computed token takes, and what a prompt takes
beside it, its answer included. So the sample need not have the prefix hits of the whole query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import SparkSession

from sparkllm.config import PREFIX, LLMConfig
from sparkllm.planned_query import PlannedCall
from sparkllm.prompt_sample import PromptSample
from sparkllm.report import QueryReport
from sparkllm.spark_session import last_reports
from sparkllm.speed_settings import speed_settings
from sparkllm.timed_prompts import Part, TimedPrompts

__all__ = ["Part", "Speed", "as_reported", "calibrate", "fitted", "remembered"]

# Prompts of a part: before the clock runs; at first, as many as an engine answers at a time, as a prompt takes longer
# where fewer are under way; at most.
_WARM, _FIRST, _MOST = 32, 256, 2048
_ENOUGH_SECONDS = 2.0  # of asking in one pair of parts
_WEAK = 0.03  # weight of what is assumed beside a part
_REPORTS = 20  # that are looked through

_speeds: dict[tuple[object, ...], Speed] = {}


@dataclass(frozen=True)
class Speed:
    """Of one call on one engine.

    Attributes:
        prompt: seconds of a prompt, with its answer, beside its computed tokens.
        token: seconds of a computed prompt token.
        apart: seconds of a Spark query beside its prompts, as far as a small one has them.
        output_tokens: of one answer, mean.
        prompts: that were timed.
        off: the most that a part was off the fit, relative.
    """

    prompt: float
    token: float
    apart: float
    output_tokens: float
    prompts: int
    off: float = 0.0

    def seconds(self, prompts: float, computed_tokens: float) -> float:
        """Of asking so many prompts, of which so many tokens are computed."""
        return prompts * self.prompt + computed_tokens * self.token


def fitted(parts: Sequence[Part]) -> Speed:
    """The speed that explains the parts best: least squares of relative errors, no time below 0.

    What the parts leave open, as where they are all of one kind, is shared between prompts and tokens.

    >>> each = fitted([Part(100, 1000, 200, 1.1), Part(100, 9000, 200, 1.9)])
    >>> round(each.prompt, 4), round(each.token, 5), each.output_tokens
    (0.01, 0.0001, 2.0)

    Raises:
        ValueError: nothing was asked.
    """
    from scipy.optimize import nnls

    timed = list(filter(_timed, parts))
    if not timed:
        raise ValueError("no prompt was asked")
    seconds = np.array([part.seconds for part in timed])
    counts = np.array([(part.prompts, part.computed_tokens) for part in timed], dtype=float)
    each = counts / seconds[:, None]
    shared = np.diag(each.mean(axis=0)) * _WEAK
    found, _ = nnls(np.vstack([each, shared]), np.append(np.ones(len(timed)), [_WEAK / 2] * 2))
    prompts = sum(part.prompts for part in timed)
    return Speed(
        prompt=float(found[0]),
        token=float(found[1]),
        apart=min(part.apart for part in timed),  # what a busy machine adds to it is no part of it
        output_tokens=sum(part.output_tokens for part in timed) / prompts,
        prompts=prompts,
        off=float(np.abs(counts @ found / seconds - 1).max()),
    )


def calibrate(
    spark: SparkSession,
    conf: Mapping[str, str],
    planned: PlannedCall,
    sample: PromptSample,
    most: int | None = None,
) -> Speed | None:
    """Ask some hundred prompts of a sample, each once, and time them; None where none could be asked.

    More are asked where they take less than two seconds, up to 6,688. Answers go to the ledger, where it is on, so that
    the query does not ask for them again; those that it had already are asked again, as they tell nothing of the speed.

    Args:
        spark: the session.
        conf: `spark.sparkllm.*` entries that hold for it; a budget is not charged.
        planned: the call.
        sample: its prompts.
        most: prompts that may be asked; None: all.
    """
    # one window: the parts are as large as they are meant to be
    window = {f"{PREFIX}windowRows": str(_MOST), f"{PREFIX}maxWindowRows": str(_MOST)}
    asked = TimedPrompts(spark, dict(conf) | window, planned, sample, most)
    asked.part(asked.scattered(min(_WARM, asked.left // 8)))
    size = min(_FIRST, asked.left // 2)
    parts = asked.pair(size)
    while sum(part.seconds for part in parts) < _ENOUGH_SECONDS and 0 < size < _MOST and asked.left >= 8 * size:
        size = min(4 * size, _MOST)
        parts = asked.pair(size)
    if not any(map(_timed, parts)):
        return None
    speed = fitted(parts)
    _speeds[_key(spark, planned, LLMConfig.from_spark(conf))] = speed
    return speed


def remembered(spark: SparkSession, planned: PlannedCall, config: LLMConfig) -> Speed | None:
    """What `calibrate` has found for this call, model and settings in this application, else what queries took."""
    found = _speeds.get(_key(spark, planned, config))
    return found or as_reported(map(QueryReport.from_json, last_reports(spark, _REPORTS)), planned, config)


def as_reported(reports: Iterable[QueryReport], planned: PlannedCall, config: LLMConfig) -> Speed | None:
    """From the reports of queries with this call alone, under the same settings; reading rows is in their seconds."""
    settings = speed_settings(config, planned.model)
    alike = [(report, report.calls[0]) for report in reports if report.succeeded and len(report.calls) == 1]
    parts = [
        Part(call.requests, call.prompt_tokens - call.cached_tokens, call.output_tokens, report.running_seconds)
        for report, call in alike
        if (call.call, call.model) == (planned.call, planned.model)
        and call.requests >= _FIRST
        and speed_settings(LLMConfig.from_spark(call.settings), call.model) == settings
    ]
    return fitted(parts) if any(map(_timed, parts)) else None


def _timed(part: Part) -> bool:
    return bool(part.prompts) and part.seconds > 0


def _key(spark: SparkSession, planned: PlannedCall, config: LLMConfig) -> tuple[object, ...]:
    settings = speed_settings(config, planned.model)
    return str(spark.sparkContext.applicationId), planned.model, planned.call.to_json(), settings
