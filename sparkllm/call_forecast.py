"""What one call of a query will ask, over all of its rows: prompts, tokens and prefix hits. No model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log2
from typing import TYPE_CHECKING

from sparkllm.answer_tokens import answer_tokens
from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.backend.placement.workload import Bucket
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError
from sparkllm.planned_query import PlannedCall
from sparkllm.prompt_buckets import Measured, buckets
from sparkllm.prompt_sample import PromptSample, asked_once, sample_prompts, sample_slices, tokenizer_of
from sparkllm.prompt_sizes import Sizes, count
from sparkllm.row_slices import asked_rows
from sparkllm.udf.prompt import static_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["FIELD_TOKENS", "Forecast", "Look", "forecast", "together", "unread_forecast"]

FIELD_TOKENS = 50  # of a field whose texts cannot be read, as where it is another call's answer


@dataclass(frozen=True)
class Look:
    """How closely to look.

    Attributes:
        rows: most rows of a sample.
        output_tokens: mean tokens of answers that are texts, or hold some; None: half of `maxTokens`.
        count: what tells how many rows there are where the sample is not all: `statistics` of the plan; `about`, a
            Spark job that counts distinct prompts to 2 %; or `scan`, one that counts them exactly and one that takes
            the sample from the order of all rows.
    """

    rows: int
    output_tokens: float | None = None
    count: str = "statistics"


@dataclass(frozen=True, eq=False)
class Forecast:
    """All rows of a call, as far as is known.

    Attributes:
        planned: the call.
        answer: tokens of one answer, mean.
        assumed: where that figure is from; empty where it is counted.
        buckets: its prompts by tokens.
        sample: prompts that were looked at; None where the rows cannot be read.
        sizes: of all prompts; None likewise.
        rows: rows that the call gets, before filters over other answers; None: not known, buckets are the sample's.
        exact: prompts were counted, all of them.
        notes: what was assumed otherwise.
    """

    planned: PlannedCall
    answer: float
    assumed: str
    buckets: tuple[Bucket, ...]
    sample: PromptSample | None = None
    sizes: Sizes | None = None
    rows: float | None = None
    exact: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def calls(self) -> float:
        """Prompts."""
        return sum(bucket.rows for bucket in self.buckets)

    @property
    def prompt_tokens(self) -> float:
        """Of all prompts."""
        return sum(bucket.rows * bucket.input_tokens for bucket in self.buckets)

    @property
    def cached_tokens(self) -> float:
        """Those of them that a cold cache of any size serves."""
        return sum(bucket.rows * bucket.input_tokens * bucket.prefix_hits for bucket in self.buckets)

    @property
    def output_tokens(self) -> float:
        """Of all answers."""
        return sum(bucket.rows * bucket.output_tokens for bucket in self.buckets)


def forecast(one: PlannedCall, config: LLMConfig, look: Look) -> Forecast:
    """Of a call whose rows can be read: one Spark job for the first rows, and those that `look.count` takes.

    Raises:
        ValueError: the call has no rows of its own; see `unread_forecast`.
    """
    if one.frame is None:
        raise ValueError(f"the rows of {one} cannot be read")
    call, kept = one.call, float(one.plan["kept"])
    answer, assumed = _answer(one, config, look)
    sample, sizes, rows, exact = _looked_at(one, config, look)
    sizes = sizes.times(kept)
    found = tuple(buckets(str(call), sizes, Measured.of([sample]), answer))
    return Forecast(one, answer, assumed, found, sample, sizes, rows, exact and kept == 1)


def _answer(one: PlannedCall, config: LLMConfig, look: Look) -> tuple[float, str]:
    tokenizer, _ = tokenizer_of(one.call, one.model, config)
    return answer_tokens(one.call, tokenizer, config, look.output_tokens, endpoint=is_endpoint(one.model))


def _looked_at(one: PlannedCall, config: LLMConfig, look: Look) -> tuple[PromptSample, Sizes, float | None, bool]:
    """A sample, the sizes of all prompts, how many rows there are, and whether the prompts were counted exactly."""
    assert one.frame is not None
    together = bool(one.plan["together"])
    if look.count == "scan":
        return _scanned(one, one.frame, config, look)
    sample = _sample(one, one.frame, config, look)
    sizes = Sizes.of(sample.bytes)
    if sample.whole:
        return sample, sizes, float(sample.rows), together
    if look.count == "about":
        sizes = _counted(one.frame, together, config)
        if not len(sample.sent):  # the first rows have no text
            sample = _sample(one, asked_rows(one.frame, once=False), config, look)
        return sample, sizes, float(sizes.rows.sum()), False
    promised = one.plan.get("rows")
    if not promised or promised <= sample.rows or not len(sample.sent):  # of rows without a text nothing follows
        return sample, sizes, None, False
    return sample, sizes.times(_growth(sample, promised, one.plan.get("prompts"))), promised, False


def _scanned(
    one: PlannedCall, frame: DataFrame, config: LLMConfig, look: Look
) -> tuple[PromptSample, Sizes, float | None, bool]:
    """The same, of all rows."""
    together = bool(one.plan["together"])
    sizes = _counted(frame, together, config, exact=True)
    rows, prompts = float(sizes.rows.sum()), int(sizes.distinct.sum())
    if rows <= look.rows:
        sample = _sample(one, frame, config, look)
        if sample.whole:
            return sample, Sizes.of(sample.bytes) if together else sizes, float(sample.rows), True
    asked = asked_rows(frame, together and asked_once(config))
    return _sample(one, asked, config, look, prompts if together else None), sizes, rows, True


def _sample(
    one: PlannedCall, frame: DataFrame, config: LLMConfig, look: Look, total: int | None = None
) -> PromptSample:
    """Of the first rows or, where all `total` of them are known, of pieces of their order."""
    layout = one.plan["call"].get("data_first") or {}
    asked = one.call, one.model, frame, config, look.rows, layout.get("from_bytes")
    return sample_prompts(*asked) if total is None else sample_slices(*asked, total)


def _counted(frame: DataFrame, together: bool, config: LLMConfig, exact: bool = False) -> Sizes:
    found = count(frame, together, exact)
    return found if asked_once(config) else found.each()


def unread_forecast(one: PlannedCall, config: LLMConfig, look: Look, below: Sequence[Bucket]) -> Forecast:
    """Of a call without fields, or over another one's answers: prompts by statistics, else those of the call below.

    Without fields one prompt, or one for each row where equal ones are asked again.

    Args:
        one: the call.
        config: the session's settings.
        look: how closely.
        below: buckets of the calls that read rows.

    Raises:
        ConfigError: nobody knows how many rows it will have.
    """
    call = one.call
    tokenizer, _ = tokenizer_of(call, one.model, config)
    answer, assumed = _answer(one, config, look)
    frame = len(tokenizer.opening(static_text(call))) + len(tokenizer.frame_end)
    prompts, notes = _expected(one, config, below)
    bucket = Bucket(frame + FIELD_TOKENS * len(call.fields), answer, prompts, 0.0, str(call))
    return Forecast(one, answer, assumed, (bucket,), notes=tuple(notes))


def _expected(one: PlannedCall, config: LLMConfig, below: Sequence[Bucket]) -> tuple[float, list[str]]:
    """Prompts, and what was assumed."""
    rows, prompts = one.plan.get("rows"), one.plan.get("prompts")
    unknown = ConfigError(f"{one}: nobody knows how many rows it will have; give a Workload of your own")
    if not one.call.fields:
        if asked_once(config):
            return 1.0, ["one prompt; each task asks it again"]
        if rows is None:
            raise unknown
        return rows * float(one.plan["kept"]), [f"every row asks for itself, {rows:,.0f} rows by statistics"]
    what = f"it stands over other answers: fields of {FIELD_TOKENS} tokens assumed"
    if number := prompts or rows:
        return float(number), [f"{what}, {one.plan['expected']} prompts by statistics"]
    each: dict[str, float] = {}
    for bucket in below:
        each[bucket.call] = each.get(bucket.call, 0.0) + bucket.rows
    if not each:
        raise unknown
    return max(each.values()), [f"{what}, as many prompts as the call below has"]


def _growth(sample: PromptSample, rows: float, prompts: float | None) -> float:
    """How many times the sample's prompts all rows have: as statistics know, never less; else by Heaps' law.

    That is k * rows^b, through two points. b is what the sample's first half says: 1 where all rows differ, 0 where
    the second half brought nothing new.
    """
    whole, half = len(sample.lengths), sample.first_half
    if prompts is not None:
        return max(1.0, prompts / max(1, whole))
    slope = log2(whole / half) if half else 1.0
    return float(rows / sample.rows) ** min(1.0, max(0.0, slope))


def together(forecasts: Sequence[Forecast]) -> list[Bucket]:
    """Buckets of calls that are written alike, over rows of their own."""
    read = [one for one in forecasts if one.sample is not None and one.sizes is not None]
    samples, sizes = [one.sample for one in read if one.sample], [one.sizes for one in read if one.sizes is not None]
    if not read:
        return list(forecasts[0].buckets)
    return buckets(str(read[0].planned), Sizes.together(sizes), Measured.of(samples), read[0].answer)
