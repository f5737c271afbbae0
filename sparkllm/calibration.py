"""How fast this engine answers a call: a short sample of its prompts is asked, and timed.

Two kinds of parts are timed: neighbours in the order of the prompts, of which the KV cache serves much, and prompts
from all over, of which it serves little. What they differ in tells what a computed token takes, and what a prompt takes
beside it, its answer included. So the sample need not have the prefix hits of the whole query.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import SparkSession

from sparkllm.ask_rows import ask_rows
from sparkllm.config import PREFIX
from sparkllm.planned_query import PlannedCall
from sparkllm.prompt_sample import PromptSample
from sparkllm.report import QueryReport
from sparkllm.spark_session import last_reports

__all__ = ["Part", "Speed", "calibrate", "fitted", "remembered"]

# Prompts of a part: before the clock runs; at first, as many as an engine answers at a time, as a prompt takes longer
# where fewer are under way; at most.
_WARM, _FIRST, _MOST = 32, 256, 2048
_ENOUGH_SECONDS = 2.0  # of asking in one pair of parts
_WEAK = 0.03  # weight of what is assumed beside a part
_REPORTS = 20  # that are looked through

_speeds: dict[tuple[str, str, str], Speed] = {}


@dataclass(frozen=True)
class Part:
    """Prompts that were asked together.

    Attributes:
        prompts: requests.
        computed_tokens: prompt tokens that were not in the KV cache.
        output_tokens: of the answers.
        seconds: from the first prompt to the last answer.
        apart: seconds of the Spark query beside it.
    """

    prompts: int
    computed_tokens: int
    output_tokens: int
    seconds: float
    apart: float = 0.0


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

    timed = [part for part in parts if part.prompts and part.seconds > 0]
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


def calibrate(spark: SparkSession, conf: Mapping[str, str], planned: PlannedCall, sample: PromptSample) -> Speed | None:
    """Ask some hundred prompts of a sample, each once, and time them; None where the ledger had all answers.

    More are asked where they take less than two seconds, up to some thousand. Answers go to the ledger, where it is on,
    so that the query does not ask for them again. A budget of the session's is not charged.
    """
    # one window: the parts are as large as they are meant to be
    window = {f"{PREFIX}windowRows": str(_MOST), f"{PREFIX}maxWindowRows": str(_MOST)}
    asked = _Asked(spark, dict(conf) | window, planned, sample)
    asked.part(asked.scattered(min(_WARM, asked.left // 8)))
    size = min(_FIRST, asked.left // 2)
    parts = asked.pair(size)
    while sum(part.seconds for part in parts) < _ENOUGH_SECONDS and size < _MOST and asked.left >= 8 * size:
        size = min(4 * size, _MOST)
        parts = asked.pair(size)
    if not any(part.prompts for part in parts):
        return None
    speed = fitted(parts)
    _speeds[_key(spark, planned)] = speed
    return speed


def remembered(spark: SparkSession, planned: PlannedCall) -> Speed | None:
    """What `calibrate` has found for this call and model in this application, else what its last queries took."""
    return _speeds.get(_key(spark, planned)) or _as_reported(spark, planned)


def _as_reported(spark: SparkSession, planned: PlannedCall) -> Speed | None:
    """From the reports of queries with this call alone; reading their rows is in their seconds."""
    reports = map(QueryReport.from_json, last_reports(spark, _REPORTS))
    alike = [(report, report.calls[0]) for report in reports if report.succeeded and len(report.calls) == 1]
    parts = [
        Part(call.requests, call.prompt_tokens - call.cached_tokens, call.output_tokens, report.running_seconds)
        for report, call in alike
        if (call.call, call.model) == (planned.call, planned.model) and call.requests >= _FIRST
    ]
    return fitted(parts) if parts else None


def _key(spark: SparkSession, planned: PlannedCall) -> tuple[str, str, str]:
    return str(spark.sparkContext.applicationId), planned.model, planned.call.to_json()


class _Asked:
    """Prompts of a sample, each of which is asked once."""

    def __init__(
        self, spark: SparkSession, conf: Mapping[str, str], planned: PlannedCall, sample: PromptSample
    ) -> None:
        self._spark, self._conf, self._call, self._texts = spark, conf, planned.call, sample.texts
        self._order = "" if sample.order.per_row else ",".join(map(str, sample.order.fields))
        self._open = np.ones(len(self._texts), dtype=bool)

    @property
    def left(self) -> int:
        """Prompts that were not asked yet."""
        return int(self._open.sum())

    def pair(self, size: int) -> list[Part]:
        """Neighbours, then as many from all over."""
        return [self.part(self.neighbours(size)), self.part(self.scattered(size))]

    def neighbours(self, size: int) -> np.ndarray:
        """Places in the order of prompts: from the middle of those that are left."""
        left = np.flatnonzero(self._open)
        begin = max(0, (len(left) - size) // 2)
        return left[begin : begin + size]

    def scattered(self, size: int) -> np.ndarray:
        """Places, evenly over those that are left."""
        left = np.flatnonzero(self._open)
        return left[np.unique(np.linspace(0, len(left) - 1, size).astype(int))] if len(left) else left

    def part(self, places: np.ndarray) -> Part:
        """Ask these."""
        if not len(places):
            return Part(0, 0, 0, 0.0)
        self._open[places] = False
        began = time.perf_counter()
        answers = ask_rows(self._spark, self._conf, self._call, [self._texts[i] for i in places], self._order)
        wall = time.perf_counter() - began

        def total(name: str) -> int:
            return sum(getattr(answer, name) or 0 for answer in answers)

        busy, start = total("busy_ms") / 1000, total("start_ms") / 1000
        computed = total("prompt_tokens") - total("cached_tokens")
        return Part(total("requests"), computed, total("output_tokens"), busy, max(0.0, wall - busy - start))
