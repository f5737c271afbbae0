"""A report as a figure: where its prompt tokens came from, rows and requests, batch and draft length over time."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from sparkllm.call_report import CallReport
    from sparkllm.report import QueryReport

__all__ = ["ReportFigure", "report_figure"]

_CACHED_INSTRUCTION, _CACHED_DATA, _COMPUTED = "#9ecae1", "#3182bd", "#d9d9d9"  # as in the table's bar
_ROWS, _REQUESTS, _DRAFTS = "#c6dbef", "#3182bd", "#d9661f"
_GREY = "#666666"
_WIDTH, _TOP, _MORE, _TIME = 9.0, 2.0, 1.0, 2.3  # inches: panels of one call, each further call, over time
_NAME = 58  # characters of a call's name
_LINE: dict[str, Any] = {"lw": 1.4, "marker": "o", "ms": 2.5}
_STYLE: dict[str, Any] = {"fontsize": 8, "color": _GREY}


class ReportFigure(Figure):
    """A Figure that notebooks show by itself, without pyplot, and so once."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=144)
        width, height = (int(100 * inches) for inches in self.get_size_inches())
        return file.getvalue(), {"width": width, "height": height}


def report_figure(report: QueryReport) -> ReportFigure:
    """Three panels: prompt tokens by call, rows and requests by call, batch and draft length over time."""
    top = _TOP + _MORE * max(0, len(report.calls) - 1)
    figure = ReportFigure(figsize=(_WIDTH, top + _TIME), layout="constrained")
    panels: dict[str, Any] = figure.subplot_mosaic("AB;CC", height_ratios=[top, _TIME])
    for panel in panels.values():
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, colors=_GREY)
    _tokens(panels["A"], report.calls)
    _rows(panels["B"], report.calls)
    _time(panels["C"], report)
    figure.suptitle(_title(report), fontsize=10, x=0.01, ha="left")
    return figure


def _title(report: QueryReport) -> str:
    state = "" if report.succeeded else ", failed"
    hits = f"; {100 * report.prefix_hit_rate:.0f} % of the prompt tokens cached" if report.total("requests") else ""
    rows = f"{report.total('rows'):,} rows, " if report.calls else ""
    return f"query {report.query}{state}: {rows}{report.total('requests'):,} requests{hits}"


def _tokens(panel: Any, calls: tuple[CallReport, ...]) -> None:
    panel.set_title("prompt tokens", fontsize=9, loc="left")
    if not any(call.prompt_tokens for call in calls):
        return _say(panel, "no prompt was sent" if calls else "not known of single calls")
    for at, call in enumerate(calls):
        cached, data = call.cached_tokens, call.cached_data_tokens
        parts = (
            ("instruction, cached", cached - data),
            ("data, cached", data),
            ("computed", call.prompt_tokens - cached),
        )
        left = 0
        for (name, tokens), colour in zip(parts, (_CACHED_INSTRUCTION, _CACHED_DATA, _COMPUTED), strict=True):
            panel.barh(at, tokens, 0.42, left, color=colour, label=name if at == 0 else None)
            left += tokens
        share = f"  {100 * cached / left:.0f} % cached" if left else "  nothing sent"
        panel.annotate(share, (left, at), va="center", **_STYLE)
        _name(panel, at, call)
    _by_call(panel, len(calls), max(call.prompt_tokens for call in calls))
    panel.legend(fontsize=7, frameon=False, ncols=3, loc="lower left", handlelength=1, columnspacing=1)
    return None


def _rows(panel: Any, calls: tuple[CallReport, ...]) -> None:
    panel.set_title("rows and requests", fontsize=9, loc="left")
    if not calls:
        return _say(panel, "not known of single calls")
    for at, call in enumerate(calls):
        bars = [("rows", call.rows, _ROWS), ("distinct prompts", call.distinct, _CACHED_INSTRUCTION)]
        if call.ledger_prompts:
            bars.append(("from the ledger", call.ledger_prompts, _COMPUTED))
        bars.append(("requests", call.requests, _REQUESTS))
        for number, (name, count, colour) in enumerate(bars):
            y = at - 0.21 + 0.84 / len(bars) * (number + 0.5) - 0.21
            panel.barh(y, count, 0.72 / len(bars), color=colour)
            panel.annotate(f"  {count:,} {name}", (count, y), va="center", **_STYLE)
    _by_call(panel, len(calls), max(max(call.rows, call.requests) for call in calls))
    return None


def _time(panel: Any, report: QueryReport) -> None:
    moments = report.timeline
    drafts = [moment for moment in moments if moment.draft_length is not None]
    panel.set_title("batch and draft length over time" if drafts else "batch over time", fontsize=9, loc="left")
    if not moments:
        sent = report.total("requests")
        return _say(
            panel, "nothing is known: too short, or no engine reached the driver" if sent else "no request was sent"
        )
    seconds = [moment.seconds for moment in moments]
    edge = seconds[0]  # half a period
    edges = [0.0, *(second + edge for second in seconds)]
    panel.stairs([m.requests for m in moments], edges, fill=True, color=_ROWS, label="requests in the engines")
    panel.set_xlim(0, edges[-1])
    panel.set_ylim(bottom=0)
    panel.set_xlabel("seconds since the first request", **_STYLE)
    panel.set_ylabel("requests", **_STYLE)
    panel.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    if drafts:
        at = [moment.seconds for moment in drafts]
        panel.plot(at, [m.decoding for m in drafts], color=_REQUESTS, label="decoding in a step", **_LINE)
        _drafts(panel, at, [float(moment.draft_length or 0) for moment in drafts])
    panel.legend(fontsize=7, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    return None


def _drafts(panel: Any, seconds: list[float], lengths: list[float]) -> None:
    right = panel.twinx()
    (line,) = right.plot(seconds, lengths, color=_DRAFTS, clip_on=False, **_LINE)
    panel.plot([], [], color=line.get_color(), **_LINE, label="draft length k (right)")
    right.set_ylim(0, max(1.0, 1.15 * max(lengths)))
    right.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    right.spines["top"].set_visible(False)
    right.tick_params(labelsize=8, colors=_DRAFTS)
    right.set_ylabel("k, tokens", fontsize=8, color=_DRAFTS)


def _name(panel: Any, at: int, call: CallReport) -> None:
    name = textwrap.shorten(str(call.call), _NAME, placeholder=" …")
    # Without mathtext: a prompt may hold dollars.
    panel.text(0, at - 0.28, name, fontsize=8, va="bottom", parse_math=False)


def _by_call(panel: Any, calls: int, most: int) -> None:
    """One band for each call, the first on top, with room at the right for what is written there."""
    panel.set_ylim(calls - 0.25, -0.65)
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    panel.set_xlim(0, 1.45 * max(1, most))
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _say(panel: Any, text: str) -> None:
    panel.text(0.5, 0.5, text, ha="center", va="center", transform=panel.transAxes, **_STYLE)
    panel.set_axis_off()
    panel.title.set_visible(True)
