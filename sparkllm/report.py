"""QueryReport: what a query asked of the model and what that cost, from the metrics of its plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sparkllm.call_report import CallReport
from sparkllm.errors import SparkLLMError
from sparkllm.report_budget import budget_lines
from sparkllm.report_cost import Cost, cost_lines, cost_of
from sparkllm.report_html import bar_svg, report_html
from sparkllm.report_speculation import speculation_lines
from sparkllm.report_table import ReportTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import SparkSession

    from sparkllm.backend.control.query import BudgetUse
    from sparkllm.backend.control.timeline import Moment

__all__ = ["CallReport", "QueryReport", "last_report"]


@dataclass(frozen=True)
class QueryReport(ReportTable):
    """One query that called the model.

    Attributes:
        query: Spark's id of the query.
        seconds: wall time of the query, engine start included.
        succeeded: False when the query failed; its counts are then those of the tasks that finished.
        error: the failure's message, or None.
        calls: one report for each LLMEval in the plan, counting what its rows used.
        paid: what the engines counted for the query: requests, tokens, failed attempts and aborted requests included,
            and what speculative decoding did meanwhile (`speculation_*`, where it is on and they run on this host);
            from other hosts, what they told last; None where that is not known. An engine that was started again has
            counted since then; `calls` count what was sent again, too.
        budget: what of the query's budget is used, and whether it ended the query; None where it had none.
        timeline: how many requests its engines had at once, and how long their drafts were, at most 120 moments from
            its first request on; empty where none was sent, or none has told the driver.
        cost: by the prices that are set; None where nobody has looked.
    """

    query: int
    seconds: float
    succeeded: bool
    error: str | None
    calls: tuple[CallReport, ...]
    paid: Mapping[str, int] | None = None
    budget: BudgetUse | None = None
    timeline: tuple[Moment, ...] = field(default=(), repr=False)
    cost: Cost | None = None

    @classmethod
    def from_json(cls, text: str) -> QueryReport:
        """Read what the Catalyst extension's listener wrote."""
        raw = json.loads(text)
        return cls(
            query=raw["query"],
            seconds=raw["seconds"],
            succeeded=raw["succeeded"],
            error=raw.get("error"),
            calls=tuple(map(CallReport.from_raw, raw["calls"])),
        )

    def total(self, name: str) -> int:
        """Sum of one count (`rows`, `requests`, ...) over all calls."""
        return sum(getattr(call, name) for call in self.calls)

    @property
    def prefix_hit_rate(self) -> float:
        """Share of the prompt tokens that vLLM found in its KV cache: 0..1."""
        return _share(self.total("cached_tokens"), self.total("prompt_tokens"))

    @property
    def data_hit_rate(self) -> float:
        """The same for the data alone, without the instruction that all prompts share: 0..1."""
        return _share(self.total("cached_data_tokens"), self._data_tokens)

    @property
    def predicted_hit_rate(self) -> float:
        """What `prefix_hit_rate` would be with a cold cache of any size."""
        return _share(self.total("predicted_tokens"), self.total("prompt_tokens"))

    @property
    def predicted_data_hit_rate(self) -> float:
        """What `data_hit_rate` would be with a cold cache of any size."""
        return _share(self.total("predicted_data_tokens"), self._data_tokens)

    @property
    def _data_tokens(self) -> int:
        return self.total("prompt_tokens") - self.total("static_tokens")

    @property
    def running_seconds(self) -> float:
        """Wall time of the query without the start of its engines, which is one wait for all hosts."""
        return self.seconds - min(self.seconds, self.total("longest_start_ms") / 1000)

    @property
    def rows_per_second(self) -> float:
        """Rows that entered LLMEval by second, the engine's start not counted."""
        seconds = self.running_seconds
        return self.total("rows") / seconds if seconds > 0 else 0.0

    def _repr_html_(self) -> str:
        return report_html(self._lines(), self.to_svg())

    def plot(self) -> Figure:
        """Three panels: prompt tokens computed and cached, rows and requests, batch and draft length over time.

        Raises:
            SparkLLMError: matplotlib is not installed.
        """
        try:
            from sparkllm.report_plot import report_figure
        except ModuleNotFoundError as error:
            raise SparkLLMError("plot() takes matplotlib, found none: pip install 'sparkllm[plot]'") from error
        return report_figure(self)

    def to_svg(self) -> str:
        """A bar of the prompt tokens: instruction and data from the cache, and what was computed."""
        cached, data = self.total("cached_tokens"), self.total("cached_data_tokens")
        computed = self.total("prompt_tokens") - cached
        return bar_svg([("instruction, cached", cached - data), ("data, cached", data), ("computed", computed)])

    def _lines(self) -> list[tuple[str, str]]:
        start = self.total("longest_start_ms") / 1000
        state = "" if self.succeeded else f" (failed: {(self.error or 'unknown').splitlines()[0]})"
        lines = [("LLM report", f"query {self.query}{state}")]
        for call in self.calls:
            lines += call.lines()
        if self.total("requests"):
            lines += _hit_lines(self)
        if self.paid is not None:
            lines.append(("paid", _paid_line(self.paid)))
            lines += speculation_lines(self.paid)
        if self.budget is not None:
            lines += budget_lines(self.budget)
        if self.cost is not None:
            lines += cost_lines(self.cost)
        lines.append(
            ("seconds", f"{self.seconds:.1f}" + (f", of them {start:.1f} starting the engine" if start else ""))
        )
        rate = self.rows_per_second
        lines.append(("rows/s", f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"))
        return lines


def _hit_lines(report: QueryReport) -> list[tuple[str, str]]:
    pairs = [
        ("prefix hits, data", report.data_hit_rate, report.predicted_data_hit_rate),
        ("prefix hits, prompt", report.prefix_hit_rate, report.predicted_hit_rate),
    ]
    return [
        (name, f"{100 * rate:.1f} % (predicted from a cold cache: {100 * cold:.1f} %)") for name, rate, cold in pairs
    ]


def _paid_line(paid: Mapping[str, int]) -> str:
    line = (
        f"{paid['requests']:,} requests, {paid['prompt_tokens']:,} prompt tokens ({paid['cached_tokens']:,} cached), "
        f"{paid['output_tokens']:,} output tokens"
    )
    extra = ", ".join(f"{paid[name]:,} {name}" for name in ("failed", "aborted", "resent") if paid.get(name))
    return f"{line}; {extra}" if extra else line


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def last_report(spark: SparkSession | None = None) -> QueryReport:
    """The report of the last finished query of this driver that called the model, in whichever session.

    On Spark Connect it is a PlainReport: what engines counted for the session's last `sparkllm.sql` or `sparkllm.map`.

    Args:
        spark: a session of the driver; the active one when left out.

    Raises:
        SparkLLMError: there is no session, or no such query yet.
    """
    from sparkllm.control_channel import timeline_of, told_of
    from sparkllm.plain_report import last_plain_report
    from sparkllm.plain_session import is_connect
    from sparkllm.spark_session import config_of, last_reports, paid, some_session

    session = some_session(spark)
    if is_connect(session):
        return last_plain_report(session)
    reports = last_reports(session, 1)
    if not reports:
        raise SparkLLMError(
            "no query with llm(...) has finished in this session; run one with an action such as show()"
        )
    report = QueryReport.from_json(reports[-1])
    told = told_of(spark, report.query)
    counted = paid(spark, report.query) or (told.counters if told is not None else None)
    cost = cost_of(report.calls, config_of(session), told.engine_seconds if told is not None else 0.0)
    budget = told.budget if told is not None else None
    timeline = timeline_of(session, report.query)
    return replace(report, paid=counted, budget=budget, timeline=timeline, cost=cost)
