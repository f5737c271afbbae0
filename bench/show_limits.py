"""The table of one or more results of limits.py.

python bench/show_limits.py FILE...
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["table"]


def table(result: dict[str, Any]) -> str:
    """One result as text."""
    shown = Table(title=f"{result['cores']} cores, {result['command']}", title_justify="left")
    for name in ("case", "figure", "value"):
        shown.add_column(name, justify="right" if name == "value" else "left")
    for case, figures in result["cases"].items():
        for i, (name, value) in enumerate(_flat(figures)):
            shown.add_row("" if i else case, name, value)
        shown.add_section()
    text = io.StringIO()
    Console(file=text, width=160).print(shown)
    return text.getvalue()


def _flat(figures: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        label = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _flat(value, f"{label}: ")
        else:
            yield (
                label,
                f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value),
            )


if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(table(json.loads(Path(file).read_text(encoding="utf-8"))))
