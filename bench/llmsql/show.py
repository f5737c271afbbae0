"""A result of `python -m bench.llmsql` as Markdown: seconds, tokens and calls of each contender, and speed-ups.

    python -m bench.llmsql.show RESULT.json [--plot RESULT.svg]

speed-up    seconds of the contender by those of sparkllm in the same turn: median, and the quartiles
by tokens   what the saved prompt tokens allow of it, and by line (bounds.py)
NULL        rows without an answer
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.llmsql.bounds import Line, by_tokens, computed

__all__ = ["OURS", "PARTS", "cells", "pairs", "ratios", "show", "spread", "where"]

OURS = "sparkllm"
# Where time goes, in the order in which a row meets it (where_time_goes.py).
PARTS = ("planning", "other stages", "task start", "rows and Arrow", "dedup and keys", "ordering", "tokenising",
         "handing over", "counting hits", "engine", "laying out")  # fmt: skip
_PLAIN = ("uncached", "cached", "sorted")  # one engine, nothing of sparkllm's order
_NULLS = ("null_fields", "too_long", "truncated", "engine_error", "engine_killed")
_FEWEST_FOR_A_LINE = 6
_REACHED = ("|  | speed-up | by tokens | reached | by line | reached |", "| --- | ---: | ---: | ---: | ---: | ---: |")

Floats = npt.NDArray[np.float64]
Run = dict[str, Any]
Turns = dict[str, dict[int, Run]]  # contender -> turn -> run
Cells = dict[tuple[str, str], Turns]  # (query, order) -> its turns


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("result", type=Path)
    parser.add_argument("--plot", type=Path, help="draw every contender's seconds by sparkllm's, and where those go")
    args = parser.parse_args()
    record = json.loads(args.result.read_text(encoding="utf-8"))
    print(show(record))
    if args.plot:
        from bench.llmsql.plot import plot  # the rest of the benchmark runs without matplotlib

        plot(record, args.plot)


def show(record: dict[str, Any]) -> str:
    """The whole report."""
    lines = [f"# LLM-SQL's queries: {record['model']}, {record['cores']} cores", "", f"`{record['command']}`", ""]
    lines += [f"- {name}: {means}" for name, means in record["contenders"].items()]
    if "cache_tokens" in record:
        lines += [f"- the KV cache of an engine holds {record['cache_tokens']:,} tokens"]
    lines += [f"- without {table}: {why}" for table, why in record["missing"].items()]
    lines += [f"- failed: {', '.join(map(str, run.values()))}" for run in record.get("failed", ())]
    for (query, order), turns in cells(record):
        lines += ["", f"## {query}, {order}", "", *_table(turns)]
        if bounds := record["bounds"].get(f"{query}, {order}"):
            lines += ["", *_shared(bounds)]
    lines += ["", "## Speed-up of sparkllm", "", *_summary(record)]
    if reached := _reached(record):
        lines += ["", "## Speed-up over `cached` by what saved prompt tokens allow", "", *_REACHED, *reached]
    lines += ["", "## Where sparkllm's time goes, in %", "", *_where(record)]
    lines += ["", "Where one call reads what another has answered, its wait for that is in rows and Arrow."]
    return "\n".join([*lines, ""])


def cells(record: dict[str, Any]) -> Iterator[tuple[tuple[str, str], Turns]]:
    """((query, order), the runs of each contender by turn)."""
    found: dict[tuple[str, str], Turns] = {}
    for run in record["runs"]:
        found.setdefault((run["query"], run["order"]), {}).setdefault(run["contender"], {})[run["turn"]] = run
    for cell, turns in found.items():
        yield cell, {name: turns[name] for name in record["contenders"] if name in turns}


def pairs(turns: Turns, name: str, other: str = OURS) -> list[tuple[Run, Run]]:
    """Runs of one contender and of another in the turns that both have: those have the same rows."""
    mine, theirs = turns.get(name, {}), turns.get(other, {})
    return [(mine[turn], theirs[turn]) for turn in sorted(mine.keys() & theirs.keys())]


def ratios(turns: Turns, name: str, other: str = OURS) -> list[float]:
    """Seconds of one contender by those of another, turn by turn."""
    return [one["seconds"] / two["seconds"] for one, two in pairs(turns, name, other)]


def spread(values: Sequence[float] | Floats) -> str:
    """Median, and quartiles where there are several; nothing of nothing."""
    if not len(values):
        return ""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f}-{high:.2f})" if len(values) > 1 else f"{middle:.2f}"


def _table(turns: Turns) -> list[str]:
    head = ("contender", "turns", "seconds", "rows/s", "NULL", "calls", "prompt tokens", "computed", "cached",
            "hits, %", "output tokens", "speed-up", "by tokens")  # fmt: skip
    rows = [head, ("---", *["---:"] * (len(head) - 1))]
    for name, by_turn in turns.items():
        runs = [*by_turn.values()]
        rows.append((
            name,
            f"{len(runs)}",
            spread([run["seconds"] for run in runs]),
            _middle([run["table_rows"] / run["seconds"] for run in runs if "table_rows" in run]),
            _middle([sum(run.get(reason, 0) for reason in _NULLS) for run in runs]),
            *(_middle([run.get(count, 0) for run in runs]) for count in ("requests", "prompt_tokens")),
            _middle([computed(run) for run in runs]),
            _middle([run["cached_tokens"] for run in runs]),
            f"{median(100 * run['cached_tokens'] / max(1, run['prompt_tokens']) for run in runs):.1f}",
            _middle([run.get("output_tokens", 0) for run in runs]),
            spread(ratios(turns, name)),
            spread([by_tokens(*pair) for pair in pairs(turns, name)]),
        ))  # fmt: skip
    return [f"| {' | '.join(row)} |" for row in rows]


def _middle(values: Sequence[float]) -> str:
    return f"{median(values):,.0f}" if values else ""


def _shared(calls: list[dict[str, float]]) -> list[str]:
    """Of the first turn's rows; cells that two prompts in a row have in the same place."""
    return [
        f"Of the data's tokens, whole cells of distinct rows (call {number}, first slice): sparkllm's order shares "
        f"{100 * call['shared']:.1f} %, and no order more than {100 * call['most_shared']:.1f} %."
        for number, call in enumerate(calls, 1)
    ]


def _reached(record: dict[str, Any]) -> list[str]:
    rows = []
    for cell, turns in cells(record):
        if both := pairs(turns, "cached"):
            ratio = np.array(ratios(turns, "cached"))
            tokens = np.array([by_tokens(*pair) for pair in both])
            line = _line(turns)
            lines = np.array([line.bound(*pair) for pair in both]) if line else None
            by_line = ("", "") if lines is None else (spread(lines), spread(ratio / lines))
            rows.append((", ".join(cell), spread(ratio), spread(tokens), spread(ratio / tokens), *by_line))
    return [f"| {' | '.join(row)} |" for row in rows]


def _line(turns: Turns) -> Line | None:
    """Where all ask the same number of requests, and there are enough of them."""
    runs = [run for name in _PLAIN for run in turns.get(name, {}).values()]
    asked = {run["requests"] for run, ours in pairs(turns, "cached") if run["requests"] != ours["requests"]}
    return Line(runs) if len(runs) >= _FEWEST_FOR_A_LINE and not asked else None


def where(turns: Turns) -> dict[str, float]:
    """Share of sparkllm's time that each part takes, mean over the turns, 0..1."""
    runs = [run for run in turns.get(OURS, {}).values() if run.get("where")]
    whole = sum(run["seconds"] for run in runs)
    return {part: sum(run["where"].get(part, 0.0) for run in runs) / whole for part in PARTS} if runs else {}


def _where(record: dict[str, Any]) -> list[str]:
    rows = [("", *PARTS), ("---", *["---:"] * len(PARTS))]
    for cell, turns in cells(record):
        if shares := where(turns):
            rows.append((", ".join(cell), *(f"{100 * share:.1f}" for share in shares.values())))
    return [f"| {' | '.join(row)} |" for row in rows]


def _summary(record: dict[str, Any]) -> list[str]:
    """A row for each query and order, means over those that a contender ran, and where it loses most."""
    found = {cell: turns for cell, turns in cells(record) if OURS in turns}
    names = [name for name in record["contenders"] if name != OURS]
    rows = [("over", *names), ("---", *["---:"] * len(names))]
    rows += [(", ".join(cell), *(spread(ratios(turns, name)) for name in names)) for cell, turns in found.items()]
    papers = {cell: turns for cell, turns in found.items() if cell[0] in record.get("of_the_paper", ())}
    rows.append(("geometric mean", *(_mean(found, name) for name in names)))
    if papers:
        rows.append(("of the paper's queries", *(_mean(papers, name) for name in names)))
    rows.append(("most, lower quartile", *(_most(found, name) for name in names)))
    return [f"| {' | '.join(row)} |" for row in rows]


def _mean(found: Cells, name: str) -> str:
    medians = [median(r) for turns in found.values() if (r := ratios(turns, name))]
    return f"**{geometric_mean(medians):.2f}** of {len(medians)}" if medians else ""


def _most(found: Cells, name: str) -> str:
    lows = {", ".join(cell): float(np.quantile(r, 0.25)) for cell, turns in found.items() if (r := ratios(turns, name))}
    cell = max(lows, key=lambda cell: lows[cell], default="")
    return f"{lows[cell]:.2f}: {cell}" if cell else ""


if __name__ == "__main__":
    main()
