"""workload(): what a query will ask, as placement takes it: prompts by input and output tokens, with prefix hits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkllm.answer_tokens import answer_tokens
from sparkllm.backend.placement.workload import Bucket, Workload
from sparkllm.calls import LLMCall
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.errors import ConfigError
from sparkllm.prompt_buckets import Measured, buckets
from sparkllm.prompt_sample import EXACT, ROWS, PromptSample, asked_once, sample_prompts, tokenizer_of
from sparkllm.prompt_sizes import Sizes, count
from sparkllm.udf.prompt import static_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["asked_models", "workload"]

_FIELD_TOKENS = 50  # of a field whose texts cannot be read, as where it is another call's answer


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of a query that has not run; what PlannedCalls.scala says of it."""

    call: LLMCall
    plan: dict[str, Any]
    frame: DataFrame | None

    def __str__(self) -> str:
        return str(self.call)


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
        ConfigError: the query asks no model, or has no rows to ask about.
        SparkLLMError: there is no session.
        pyspark.errors.AnalysisException: the query is wrong, or a command such as INSERT.
    """
    config, calls = _planned(query, spark)
    groups: dict[str, list[_Call]] = {}
    for call in calls:
        groups.setdefault(str(call), []).append(call)
    found: list[Bucket] = []
    notes: list[str] = []
    # calls that read rows come first: calls over their answers have no more rows than they
    for alike in sorted(groups.values(), key=lambda calls: any(_unread(call) for call in calls)):
        more, said = _workload(alike, config, rows, output_tokens, found)
        found, notes = [*found, *more], [*notes, *(f"{alike[0]}: {text}" for text in said)]
    if not found:
        raise ConfigError("the query has no rows to ask the model about" if calls else "the query asks no model")
    return Workload(tuple(found), tuple(notes))


def asked_models(query: DataFrame | str, spark: SparkSession | None = None) -> tuple[str, ...]:
    """Path or id of each model that a query asks, in the order of its calls."""
    return tuple(dict.fromkeys(call.plan["model"] for call in _planned(query, spark)[1]))


def _planned(query: DataFrame | str, spark: SparkSession | None) -> tuple[LLMConfig, list[_Call]]:
    from sparkllm.spark_session import planned_calls

    session, planned = planned_calls(query, spark)
    config = LLMConfig.from_spark({k: v for k, v in session.conf.getAll.items() if k.startswith(PREFIX)})
    plans = [(json.loads(text), frame) for text, frame in planned]
    return config, [_Call(LLMCall.from_json(json.dumps(plan["call"])), plan, frame) for plan, frame in plans]


def _workload(
    calls: list[_Call], config: LLMConfig, rows: int, output_tokens: float | None, below: list[Bucket]
) -> tuple[list[Bucket], list[str]]:
    """The buckets of calls that are written alike, and what is to be said of them."""
    call = calls[0].call
    tokenizer, tokens_by = tokenizer_of(call, calls[0].plan["model"], config)
    answer, assumed = answer_tokens(call, tokenizer, config, output_tokens)
    notes = [assumed] if assumed else []
    notes += [f"tokens by {tokens_by}"] if tokens_by != EXACT else []
    read = [one for one in calls if not _unread(one)]
    if not read:
        frame = len(tokenizer.opening(static_text(call))) + len(tokenizer.frame_end)
        expected, said = _expected(calls[0], below)
        bucket = Bucket(frame + _FIELD_TOKENS * len(call.fields), answer, expected, 0.0, str(call))
        return [bucket], notes + said
    notes += [] if len(read) == len(calls) else ["it stands over answers too, those rows are left out"]
    samples = [
        sample_prompts(call, one.plan["model"], one.frame, config, rows) for one in read if one.frame is not None
    ]
    sizes = [_sizes(one, sample, config) for one, sample in zip(read, samples, strict=True)]
    notes += [note for one, sample, size in zip(read, samples, sizes, strict=True) for note in _said(one, sample, size)]
    return buckets(str(call), Sizes.together(sizes), Measured.of(samples), answer), notes


def _unread(call: _Call) -> bool:
    """Without fields, or over the answers of another call."""
    return call.frame is None


def _sizes(call: _Call, sample: PromptSample, config: LLMConfig) -> Sizes:
    return _before_filters(call, sample, config).times(call.plan["kept"])


def _before_filters(call: _Call, sample: PromptSample, config: LLMConfig) -> Sizes:
    if call.frame is None or sample.whole:
        return Sizes.of(sample.bytes)
    found = count(call.frame, call.plan["together"])
    return found if asked_once(config) else found.each()


def _said(call: _Call, sample: PromptSample, sizes: Sizes) -> Iterable[str]:
    kept = call.plan["kept"]
    if not sample.whole:
        yield (
            f"{sizes.rows.sum() / kept:,.0f} rows counted; their tokens and prefix hits are taken from the first "
            f"{sample.rows:,}, and more rows share more"
        )
    if kept < 1:
        yield f"filters over other answers are expected to leave {100 * kept:.0f} % of its rows"
    if call.plan["stops"]:
        yield "fewer rows where the LIMIT is met earlier"


def _expected(call: _Call, below: list[Bucket]) -> tuple[float, list[str]]:
    """Prompts of a call whose rows cannot be read."""
    if not call.call.fields:
        return 1.0, []
    what = f"it stands over other answers: fields of {_FIELD_TOKENS} tokens assumed"
    said = str(call.plan["expected"])
    if number := re.search(r"[\d,]+", said):
        return float(number[0].replace(",", "")), [f"{what}, {said} prompts by statistics"]
    each: dict[str, float] = {}
    for bucket in below:
        each[bucket.call] = each.get(bucket.call, 0.0) + bucket.rows
    if not each:
        raise ConfigError(f"{call}: nobody knows how many rows it will have; give a Workload of your own")
    return max(each.values()), [f"{what}, as many prompts as the call below has"]
