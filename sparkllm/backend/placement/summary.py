"""A plan on a few lines, for the one who pays: GPUs, dollars and hours, beside each GPU type alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from sparkllm.backend.placement.explain import notes, title

if TYPE_CHECKING:
    from sparkllm.backend.placement.placement import Alternative, Plan

__all__ = ["summary"]


def summary(plan: Plan) -> str:
    """A table, dearest last, under what was asked; then what was assumed."""
    table = Table("", "GPUs", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("$", "hours", "more $", "more time"):
        table.add_column(name, justify="right")
    gpus = ", ".join(f"{count} {name}" for name, count in plan.gpus.items())
    table.add_row("this plan", gpus, f"{plan.usd:,.2f}", f"{plan.seconds / 3600:,.2f}", "", "", style="bold")
    for one in sorted(plan.alternatives(), key=lambda one: (bool(one.reason), one.usd)):
        table.add_row(*_alone(plan, one))
    console = Console(width=120, highlight=False)
    with console.capture() as text:
        console.print(table)
    lines = "\n".join(line.rstrip() for line in text.get().splitlines())
    return f"{title(plan)}\n{lines}\n{notes(plan)}\n"


def _alone(plan: Plan, one: Alternative) -> tuple[str, ...]:
    if one.reason:
        return f"only {one.gpu}", f"- ({one.reason})", "-", "-", "", ""
    more = f"{100 * (one.usd / plan.usd - 1):+,.0f} %" if plan.usd else ""
    time = f"{100 * (one.seconds / plan.seconds - 1):+,.0f} %"
    return f"only {one.gpu}", f"{one.gpus} {one.gpu}", f"{one.usd:,.2f}", f"{one.seconds / 3600:,.2f}", more, time
