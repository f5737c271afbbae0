"""The table of one or more results of soak.py.

python bench/show_soak.py FILE...
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["table"]


def table(result: dict[str, Any]) -> str:
    """One result as text."""
    asked = ", ".join(f"{number} {kind}" for kind, number in sorted(result["queries"].items()))
    title = f"{result['minutes']:g} minutes, {result['cores']} cores, {result['engines']} engines; {asked}"
    shown = Table(title=title, title_justify="left", caption=_end(result), caption_justify="left")
    for name in ("process", "MiB from", "to", "per hour", "files from", "to", "per hour"):
        shown.add_column(name, justify="left" if name == "process" else "right")
    for who, memory in result["growth_mib"].items():
        files = result["growth_files"][who]
        figures = [f"{one[name]:,.0f}" for one in (memory, files) for name in ("from", "to", "per_hour") if one]
        shown.add_row(who, *figures)
    text = io.StringIO()
    Console(file=text, width=140).print(shown)
    return text.getvalue()


def _end(result: dict[str, Any]) -> str:
    return f"second half of the time; left behind: {len(result['orphans'])}; unexpected ends: {len(result['wrong'])}"


if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(table(json.loads(Path(file).read_text(encoding="utf-8"))))
