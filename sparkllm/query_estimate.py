"""What explain() found: records of the calls of a query that has not run, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkllm.backend.endpoint.prices import TokenPrice
from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.calls import LLMCall
from sparkllm.estimate_lines import call_lines, query_lines
from sparkllm.gpu_estimate import GPUEstimate
from sparkllm.report_table import ReportTable

if TYPE_CHECKING:
    from sparkllm.calibration import Speed

__all__ = ["CallEstimate", "CallTotal", "QueryEstimate", "Sampled"]


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
class CallTotal:
    """All rows of a call or, where nobody knows how many there are, those of the sample.

    Attributes:
        rows: that it gets; None where that is not known.
        calls: prompts sent for them.
        exact: they were counted, all of them.
        prompt_tokens, cached_tokens: of those prompts, and those among them that a cold cache of any size serves.
        output_tokens: of the answers.
        assumed: where the length of an answer is from; empty where it is counted.
        speed: measured on the session's engine; None where it was not.
        price: of an endpoint's tokens; None where nobody has said, and for other models.
    """

    rows: float | None
    calls: float
    exact: bool
    prompt_tokens: float
    cached_tokens: float
    output_tokens: float
    assumed: str = ""
    speed: Speed | None = None
    price: TokenPrice | None = None

    @property
    def seconds(self) -> float | None:
        """Of asking, by the measured speed."""
        return None if self.speed is None else self.speed.seconds(self.calls, self.prompt_tokens - self.cached_tokens)

    @property
    def usd(self) -> tuple[float, float] | None:
        """By the price: as a server without a cache counts, and as one does that serves what a KV cache can."""
        if self.price is None:
            return None
        whole, cached = (self.price.usd(self.prompt_tokens, n, self.output_tokens) for n in (0.0, self.cached_tokens))
        return whole, cached


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
        total: over all of its rows; None where nobody knows anything of them.
        rows_at_most: where statistics expect no number of rows, the most that there can be; None: no bound either.
    """

    call: LLMCall
    model: str
    field_order: str
    expected: str
    together: bool
    stops: bool
    sampled: Sampled | None
    kept: float = 1.0
    total: CallTotal | None = None
    rows_at_most: float | None = None


@dataclass(frozen=True)
class QueryEstimate(ReportTable):
    """What a query will ask; `print` shows it as a table, a notebook too.

    Attributes:
        calls: of the query, inner ones first.
        gpus: one replica on each GPU type, by model; models of endpoints are left out.
        notes: why there is less than that.
        cost_per_hour: price of an hour of this session's engine; 0: nobody has said.
        calibrated: prompts were to be asked for it.
    """

    calls: tuple[CallEstimate, ...]
    gpus: Mapping[str, tuple[GPUEstimate, ...]] | None = None
    notes: tuple[str, ...] = ()
    cost_per_hour: float = 0.0
    calibrated: bool = False

    def total(self, name: str) -> float:
        """Sum of `calls`, `prompt_tokens`, `cached_tokens` or `output_tokens` over all calls, as far as known."""
        return float(sum(getattr(call.total, name) for call in self.calls if call.total is not None))

    @property
    def prefix_hit_rate(self) -> float:
        """Share of the prompt tokens that a cold cache of any size serves: 0..1."""
        return self.total("cached_tokens") / max(1.0, self.total("prompt_tokens"))

    @property
    def seconds(self) -> float | None:
        """Of the query on this session's engine, its start not counted; None where a call's speed was not measured."""
        found = [(call.total.seconds, call.total.speed) for call in self.calls if call.total is not None]
        known = [(seconds, speed) for seconds, speed in found if seconds is not None and speed is not None]
        if not known or len(known) < len(self.calls):
            return None
        return max(speed.apart for _, speed in known) + sum(seconds for seconds, _ in known)

    @property
    def engine_seconds(self) -> float:
        """Of those, what engines of one's own take: all but the time of calls that an endpoint answers."""
        at_endpoints = [call.total.seconds or 0.0 for call in self.calls if call.total and is_endpoint(call.model)]
        every = len(at_endpoints) == len(self.calls)
        return 0.0 if every or self.seconds is None else self.seconds - sum(at_endpoints)

    def _lines(self) -> list[tuple[str, str]]:
        asked = any(call.total is not None and call.total.speed is not None for call in self.calls)
        said = "a sample was asked, now or earlier" if asked else "no model was asked"
        lines = [("LLM estimate", said if self.calls else "the query asks no model")]
        for call in self.calls:
            lines += call_lines(call)
        return lines + (query_lines(self) if self.calls else [])
