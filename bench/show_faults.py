"""The table of one or more results of faults.py.

python bench/show_faults.py FILE...
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

_COLUMNS = {
    "component": "killed", "moment": "at the", "killed_after_answers": "after answers", "wrong_rows": "wrong rows",
    "paid_twice": "paid twice", "acknowledged": "in the ledger", "acknowledged_paid_again": "of them paid again",
    "seconds": "seconds", "seconds_lost": "lost",
    "seconds_until_all_gone": "all gone after", "orphans": "orphans",
}  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """One result as text."""
    title = f"{result['rows']:,} rows, undisturbed {result['undisturbed_seconds']:.1f} s, {result['cores']} cores"
    shown = Table(title=title, title_justify="left")
    for name in _COLUMNS.values():
        shown.add_column(name, justify="left" if name in ("killed", "at the") else "right")
    for cell in result["cells"]:
        shown.add_row(*(_text(cell.get(name, "")) for name in _COLUMNS))
    text = io.StringIO()
    Console(file=text, width=140).print(shown)
    return text.getvalue()


def _text(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(table(json.loads(Path(file).read_text(encoding="utf-8"))))
