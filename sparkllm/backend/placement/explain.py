"""A plan as text: for the one who pays, then for the one who runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sparkllm.backend.placement.duration import duration
from sparkllm.backend.placement.terms import COST
from sparkllm.backend.placement.throughput import COMPARED

if TYPE_CHECKING:
    from sparkllm.backend.placement.placement import Alternative, Plan

__all__ = ["explain", "notes", "title"]

_MOST_BUCKETS = 12


def explain(plan: Plan) -> str:
    """Four tables: this plan beside each type alone; the kinds of replica; the buckets; the prices. Then notes."""
    parts = [title(plan), _choices(plan), _kinds(plan), _buckets(plan), _prices(plan), notes(plan)]
    return "\n\n".join(part for part in parts if part) + "\n"


def title(plan: Plan) -> str:
    """What was asked."""
    terms, what = plan.terms, f"{plan.workload.rows:,.0f} rows by {plan.model}"
    asked = ["cheapest" if terms.objective == COST and plan.cluster is None else "fastest"]
    asked += ["on this cluster"] if plan.cluster is not None else []
    asked += [f"done in {duration(terms.deadline)}"] if terms.deadline else []
    asked += [f"for at most ${terms.budget:,.2f}"] if terms.budget else []
    paid = "until the deadline" if terms.billing == "held" else "until it is done"
    return f"{what}: {', '.join(asked)}; a replica is paid {paid}"


def _choices(plan: Plan) -> str:
    mine = ["this plan", _counted(plan.replicas), f"{plan.usd:,.2f}", duration(plan.seconds), ""]
    return _table("<<>><", ["", "replicas", "$", "time", ""], mine, *(_alone(plan, one) for one in plan.alternatives()))


def _alone(plan: Plan, one: Alternative) -> list[str]:
    if one.reason:
        return [f"only {one.gpu}", "-", "-", "-", one.reason]
    more = [f"{_more(one.usd, plan.usd)} $", f"{_more(one.seconds, plan.seconds)} time"]
    return [f"only {one.gpu}", _counted(one.replicas), f"{one.usd:,.2f}", duration(one.seconds), ", ".join(more)]


def _more(other: float, mine: float) -> str:
    return f"{100 * (other / mine - 1):+,.0f} %" if mine else "?"


def _kinds(plan: Plan) -> str:
    lines = []
    for name, rows in plan.rows.items():
        share, busy = _percent(rows / plan.workload.rows), _percent(plan.utilisation[name])
        lines.append([name, f"{plan.replicas[name]}", f"{rows:,.0f}", share, busy])
    return _table("<>>>>", ["replica", "replicas", "rows", "", "busy"], *lines)


def _buckets(plan: Plan) -> str:
    """The largest ones."""
    routed = sorted(zip(plan.workload.buckets, plan.routing, strict=True), key=lambda one: -one[0].rows)
    lines = []
    for bucket, shares in routed[:_MOST_BUCKETS]:
        where = ", ".join(f"{name} {_percent(share)}" for name, share in shares.items())
        lines.append([str(bucket), f"{bucket.rows:,.0f}", where])
    left = sum(bucket.rows for bucket, _ in routed[_MOST_BUCKETS:])
    more = f"\nand {len(routed) - _MOST_BUCKETS} smaller buckets with {left:,.0f} rows" if left else ""
    return _table(">><", ["bucket", "rows", "goes to"], *lines) + more


def _prices(plan: Plan) -> str:
    prices = {kind.gpu.name: kind.gpu.price for kind in plan.kinds}
    lines = [[name, f"{p.usd_per_hour:.2f}", p.date, p.source] for name, p in prices.items() if p]
    return _table("<><<", ["list price", "$ per hour", "as of", "source"], *lines)


def notes(plan: Plan) -> str:
    """What was assumed, one line each."""
    unsure = sorted({kind.gpu.name for kind in plan.kinds} - set(COMPARED) - set(plan.measured))
    found = [f"speed from the data sheet alone, measure before you rely on it: {', '.join(unsure)}"] if unsure else []
    found += [f"left out, as no price is known: {', '.join(plan.unpriced)}"] if plan.unpriced else []
    return "\n".join([*found, *plan.workload.notes])


def _counted(replicas: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in replicas.items())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"


def _table(alignment: str, *lines: Sequence[str]) -> str:
    """Text in columns; `<` and `>` say to which side each goes."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = [[f"{c:{a}{w}}" for c, a, w in zip(line, alignment, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in cells)
