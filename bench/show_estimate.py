"""The table of results of bench/estimate.py: estimate against report, and whether it is as near as promised.

    python bench/show_estimate.py FILE...

Promised: calls exact where the table was scanned, tokens within 5 %, prefix hits within 3 points, seconds within 30 %
after a calibration. Of several repeats the one that is off most is shown for each figure.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["MOST_OFF", "missed", "off", "table"]

MOST_OFF = {"calls": 0.0, "prompt_tokens": 0.05, "output_tokens": 0.05, "hits": 0.03, "seconds": 0.3}
_COLUMNS = dict(zip(MOST_OFF, ("calls", "prompt tokens", "output tokens", "hits", "seconds"), strict=True))


def table(result: dict[str, Any]) -> str:
    """One result as text."""
    shown = Table(title=f"{result['model']}, {result['cores']} cores, {result['command']}", title_justify="left")
    for name in ("query", "runs", *_COLUMNS.values()):
        shown.add_column(name, justify="left" if name == "query" else "right")
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in result["whole"]:
        groups[f"all of {one['table']}, dry run"] = [one]
    for one in result["runs"]:
        groups.setdefault(f"{one['job']}, {one['table']}", []).append(one)
    for name, pairs in groups.items():
        shown.add_row(name, str(len(pairs)), *(_figure(pairs, figure) for figure in _COLUMNS))
    text = io.StringIO()
    Console(file=text, width=200).print(shown)
    return text.getvalue()


def off(pair: dict[str, Any], figure: str) -> float | None:
    """How far the estimate is from the run: relative, of hits as a difference; None where one of them has none."""
    estimated, run = pair["estimate"][figure], pair["run"][figure]
    if estimated is None or (not run and figure != "hits"):
        return None
    return float(estimated - run if figure == "hits" else estimated / run - 1)


def missed(result: dict[str, Any]) -> list[str]:
    """What is not as near as promised; answers of a dry run and its seconds are not promised."""
    found = []
    for pair in [*result["whole"], *result["runs"]]:
        name = f"{pair.get('job', 'whole')}, {pair['table']}, {pair.get('repeat', 0)}"
        for figure, most in MOST_OFF.items():
            apart = off(pair, figure)
            if apart is not None and not _of_dry_run(pair, figure) and abs(apart) > most + 1e-9:
                found.append(f"{name}: {figure} {apart:+.3f}")
    return found


def _of_dry_run(pair: dict[str, Any], figure: str) -> bool:
    return "job" not in pair and figure in ("output_tokens", "seconds")


def _figure(pairs: list[dict[str, Any]], figure: str) -> str:
    """The pair that is off most: estimate / run, and how far they are apart over all pairs."""
    known = [(apart, pair) for pair in pairs if (apart := off(pair, figure)) is not None]
    if not known or _of_dry_run(pairs[0], figure):
        return ""
    apart, worst = max(known, key=lambda one: abs(one[0]))
    form: Callable[[float], str] = {"hits": "{:.1%}".format, "seconds": "{:.1f}".format}.get(figure, "{:,.0f}".format)
    unit = " points" if figure == "hits" else " %"
    values = sorted(100 * one for one, _ in known)
    spread = f"{values[0]:+.1f}" if len(values) == 1 else f"{values[0]:+.1f} to {values[-1]:+.1f}"
    verdict = "ok" if abs(apart) <= MOST_OFF[figure] + 1e-9 else "MISSED"
    return f"{form(worst['estimate'][figure])} / {form(worst['run'][figure])}\n{spread}{unit} {verdict}"


if __name__ == "__main__":
    for file in sys.argv[1:]:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        print(table(content))
        print("\n".join(missed(content)) or "nothing missed")
