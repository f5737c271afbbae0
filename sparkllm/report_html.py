"""How a report looks in a notebook: a table and a bar, as plain HTML and SVG that any notebook shows."""

from __future__ import annotations

import html
from collections.abc import Sequence

__all__ = ["bar_svg", "report_html"]

_COLOURS = ("#9ecae1", "#3182bd", "#d9d9d9")
_LEFT = " style='text-align:left'"
_WIDTH, _BAR, _LINE = 480, 18, 20


def report_html(lines: Sequence[tuple[str, str]], bar: str) -> str:
    """A two-column table of (name, value) lines with the bar below it."""
    cells = [
        f"<tr><th{_LEFT}>{html.escape(name)}</th><td{_LEFT}>{html.escape(value)}</td></tr>" for name, value in lines
    ]
    return f"<table>{''.join(cells)}</table>{bar}"


def bar_svg(parts: Sequence[tuple[str, int]]) -> str:
    """One stacked bar of (name, tokens) parts with a legend; empty where there are no tokens."""
    total = sum(tokens for _, tokens in parts)
    if not total:
        return ""
    shapes, x = [], 0.0
    for row, ((name, tokens), colour) in enumerate(zip(parts, _COLOURS, strict=True)):
        width, y = _WIDTH * tokens / total, _BAR + _LINE * row + 8
        shapes.append(f"<rect x='{x:.1f}' y='0' width='{width:.1f}' height='{_BAR}' fill='{colour}'/>")
        shapes.append(f"<rect x='0' y='{y}' width='12' height='12' fill='{colour}'/>")
        label = f"{name}: {tokens:,} tokens ({100 * tokens / total:.1f} %)"
        shapes.append(f"<text x='18' y='{y + 11}' font-size='12' font-family='sans-serif'>{html.escape(label)}</text>")
        x += width
    height = _BAR + _LINE * len(parts) + 8
    return f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{height}'>{''.join(shapes)}</svg>"
