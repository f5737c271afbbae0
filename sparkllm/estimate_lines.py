"""The lines of an estimate: those of each call, then those of the query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.backend.placement.duration import duration
from sparkllm.prompt_sample import EXACT

if TYPE_CHECKING:
    from sparkllm.query_estimate import CallEstimate, CallTotal, QueryEstimate, Sampled

__all__ = ["call_lines", "query_lines"]

Lines = list[tuple[str, str]]
_MOST_GPUS = 6
_WORTH_SAYING = 0.05  # of how far parts of a calibration were off
_SECONDS_OF_A_MINUTE, _MILLISECONDS = 60, 1000


def call_lines(call: CallEstimate) -> Lines:
    """What is known of one call."""
    lines = [("call", str(call.call)), ("  model", call.model)]
    lines += _unsampled(call) if call.sampled is None else _sampled(call, call.sampled)
    if call.total is not None and is_endpoint(call.model):
        lines.append(("  price", _price(call.total)))
    return lines


def query_lines(query: QueryEstimate) -> Lines:
    """The sums, and what they take."""
    known = [call.total for call in query.calls if call.total is not None]
    left = len(query.calls) - len(known)
    counts = f"{query.total('calls'):,.0f} calls, {query.total('prompt_tokens'):,.0f} prompt tokens"
    cached, output = 100 * query.prefix_hit_rate, query.total("output_tokens")
    part = any(total.rows is None and call.sampled for call, total in _totals(query))
    lines = [
        ("query", f"{_about(query)}{counts} ({cached:.1f} % from the cache), {output:,.0f} output tokens"),
        *([("  of more", "these are the rows that were read; scan=True counts all")] if part else []),
        *([("  not counted", f"{left} calls whose rows nobody knows")] if left else []),
        *_here(query),
        *_endpoint(known),
    ]
    for model, gpus in (query.gpus or {}).items():
        lines.append(("by GPU type", f"{model}, one replica; its start not counted, prices are list prices"))
        for one in gpus[:_MOST_GPUS]:
            unsure = "" if one.compared else ", from the data sheet alone"
            lines.append((f"  on {one.replica}", f"about {_time(one.seconds)}, {_usd(one.usd)}{unsure}"))
        if not gpus:
            lines.append(("  none", "it fits on no GPU type of the catalogue that has a price"))
    return lines + [("by GPU type", note) for note in query.notes]


def _totals(query: QueryEstimate) -> Iterator[tuple[CallEstimate, CallTotal]]:
    return ((call, call.total) for call in query.calls if call.total is not None)


def _about(query: QueryEstimate) -> str:
    sure = all(
        total.exact and not total.assumed and not call.stops and call.sampled is not None and call.sampled.whole
        for call, total in _totals(query)
    )
    return "" if sure and all(call.total is not None for call in query.calls) else "about "


def _unsampled(call: CallEstimate) -> Lines:
    lines = [("  field order", call.field_order)] if len(call.call.fields) > 1 else []
    return [*lines, ("  expected calls", f"{call.expected} (by statistics; its rows were not read)")]


def _sampled(call: CallEstimate, found: Sampled) -> Lines:
    lines = []
    if len(call.call.fields) > 1:
        lines = [("  field order", ", ".join(found.field_order) or "one for each row")]
    lines += [("  rows", _rows(call, found)), ("  expected calls", _calls(call, found)), *_tokens(call, found)]
    looked = "from a cold cache" if found.whole else f"from a cold cache; seen in {found.rows:,} rows"
    return [
        *lines,
        ("  prefix hits, data", f"about {100 * found.data_hits:.1f} % ({looked})"),
        ("  prefix hits, prompt", f"about {100 * found.hits:.1f} % ({looked})"),
        (
            "  whole fields shared",
            f"{100 * found.shared:.1f} %, at most {100 * found.most_shared:.1f} % in any order",
        ),
        ("  by statistics alone", call.expected),
    ]


def _rows(call: CallEstimate, found: Sampled) -> str:
    total = call.total
    if found.whole:
        return f"{found.rows:,}"
    if total is None or total.rows is None:
        most = f", at most {call.rows_at_most:,.0f}" if call.rows_at_most else ""
        return f"more than {found.rows:,}{most}; for the first {found.rows:,}"
    return f"{total.rows:,.0f}, {'counted' if total.exact else 'by statistics'}; {found.rows:,} of them were looked at"


def _calls(call: CallEstimate, found: Sampled) -> str:
    total = call.total
    if not call.kept:
        return "about 0; filters over other answers are expected to leave none"
    part = not found.whole and (total is None or total.rows is None)
    of = (" of them" if part else "") + ("; fewer where the LIMIT is met earlier" if call.stops else "")
    calls = found.calls if total is None or part else total.calls / call.kept
    counted = found.whole or part or (total is not None and total.exact)
    each = call.together or calls == found.rows or (total is not None and total.exact)
    apart = "" if each else "; equal prompts of different tasks are asked again"
    fewer = "" if call.kept == 1 else f"; filters over other answers leave about {100 * call.kept:.0f} % of them"
    return f"{'' if counted else 'about '}{calls:,.0f}{of}{apart}{fewer}"


def _tokens(call: CallEstimate, found: Sampled) -> Lines:
    total = call.total
    if total is None:
        return [("  prompt tokens", f"about {found.prompt_tokens:,} ({found.tokens_by})")]
    sure = found.whole and found.tokens_by == EXACT and call.kept == 1
    return [
        ("  prompt tokens", f"{'' if sure else 'about '}{total.prompt_tokens:,.0f} ({found.tokens_by})"),
        ("  output tokens", f"about {total.output_tokens:,.0f}{f' ({total.assumed})' if total.assumed else ''}"),
    ]


def _price(total: CallTotal) -> str:
    if total.price is None:
        return "nobody has said: give prices=, or set spark.sparkllm.endpointPrices"
    return str(total.price)


def _here(query: QueryEstimate) -> Lines:
    """Seconds on the session's own engine."""
    speeds = [total.speed for _, total in _totals(query) if total.speed is not None]
    if query.seconds is None:
        return [("seconds here", f"not measured: {_unmeasured(query)}")]
    prompts = sum(speed.prompts for speed in speeds)
    price = query.engine_seconds / 3600 * query.cost_per_hour
    cost = f", {_amount(price)} by costPerHour" if price else ""
    off = max(speed.off for speed in speeds)
    parts = f", parts of which were up to {100 * off:.0f} % off" if off >= _WORTH_SAYING else ""
    measured = f"measured on {prompts:,} prompts{parts}"
    return [("seconds here", f"about {_time(query.seconds)}{cost} ({measured}; the engine's start not counted)")]


def _unmeasured(query: QueryEstimate) -> str:
    if not query.calibrated:
        return "calibrate=True asks some hundred prompts of each call, up to some thousand"
    left = sum(call.total is None or call.total.speed is None for call in query.calls)
    return f"{left} of its calls have no prompts that could be asked (no rows of their own, too long, or maxCalls)"


def _endpoint(totals: list[CallTotal]) -> Lines:
    paid = [total.usd for total in totals if total.usd is not None]
    if not paid:
        return []
    whole, cached = (sum(part) for part in zip(*paid, strict=True))
    less = f"; {_usd(cached)} if its cache serves as much as a KV cache can" if cached < whole else ""
    return [("at the endpoint", f"about {_usd(whole)}{less}")]


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{_MILLISECONDS * seconds:,.0f} ms"
    return f"{seconds:,.1f} s" if seconds < _SECONDS_OF_A_MINUTE else duration(seconds)


def _usd(dollars: float) -> str:
    return f"${_amount(dollars)}"


def _amount(money: float) -> str:
    """Two figures of what is small, in any currency.

    >>> _amount(12.345), _amount(0.0123), _amount(0.0000042)
    ('12.35', '0.012', '0.0000042')
    """
    if money >= 1 or money == 0:
        return f"{money:,.2f}"
    places = 1
    while round(money, places) * 10**places < 10 and places < 12:
        places += 1
    return f"{money:.{places}f}"
