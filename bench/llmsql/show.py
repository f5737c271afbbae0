"""A result of `python -m bench.llmsql` as Markdown: seconds, tokens and calls of each contender, and speed-ups.

    python -m bench.llmsql.show RESULT.json [--plot RESULT.svg]

speed-up   seconds of the contender by those of sparkllm, turn by turn: median, and the quartiles
bound      what the saved prompt tokens allow of it (bounds.py)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import numpy as np

from bench.llmsql.bounds import by_line, by_tokens, computed

__all__ = ["OURS", "PARTS", "cells", "ratios", "show", "spread", "where"]

OURS = "sparkllm"
# Where time goes, in the order in which a row meets it (where_time_goes.py).
PARTS = ("planning", "other stages", "task start", "rows and Arrow", "dedup and keys", "ordering", "tokenising",
         "handing over", "counting hits", "engine", "laying out")  # fmt: skip
Turns = dict[str, list[dict[str, Any]]]


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
    lines += [f"- without {table}: {why}" for table, why in record["missing"].items()]
    lines += [f"- failed: {', '.join(map(str, run.values()))}" for run in record.get("failed", ())]
    for (query, order), turns in cells(record):
        lines += ["", f"## {query}, {order}", "", *_table(turns)]
        bounds = record["bounds"].get(f"{query}, {order}")
        if bounds:
            lines += ["", _shared(turns, bounds)]
    lines += ["", "## Speed-up of sparkllm", "", *_summary(record)]
    lines += ["", "## Speed-up over `cached` by what saved prompt tokens allow", "", *_reached(record)]
    lines += ["", "## Where sparkllm's time goes, in %", "", *_where(record)]
    return "\n".join([*lines, ""])


def cells(record: dict[str, Any]) -> Iterator[tuple[tuple[str, str], Turns]]:
    """((query, order), the turns of each contender, the first one first)."""
    found: dict[tuple[str, str], Turns] = {}
    for run in record["runs"]:
        found.setdefault((run["query"], run["order"]), {}).setdefault(run["contender"], []).append(run)
    yield from found.items()


def ratios(turns: Turns, name: str, other: str = OURS) -> list[float]:
    """Seconds of one contender by those of another, turn by turn, as many as both have."""
    pairs = zip(turns.get(name, ()), turns.get(other, ()), strict=False)
    return [one["seconds"] / two["seconds"] for one, two in pairs]


def spread(values: list[float]) -> str:
    """Median, and quartiles where there are several."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f}-{high:.2f})" if len(values) > 1 else f"{middle:.2f}"


def _table(turns: Turns) -> list[str]:
    head = ("contender", "seconds", "rows/s", "calls", "prompt tokens", "computed", "cached", "hits", "output tokens",
            "speed-up", "bound")  # fmt: skip
    rows = [head, ("---", *["---:"] * (len(head) - 1))]
    for name in turns:
        middle = {count: int(median(run.get(count, 0) for run in turns[name])) for count in
                  ("requests", "prompt_tokens", "cached_tokens", "output_tokens")}  # fmt: skip
        rows.append((
            name,
            spread([run["seconds"] for run in turns[name]]),
            _rows_per_second(turns[name]),
            f"{middle['requests']:,}",
            f"{middle['prompt_tokens']:,}",
            f"{computed(middle):,}",
            f"{middle['cached_tokens']:,}",
            f"{100 * middle['cached_tokens'] / max(1, middle['prompt_tokens']):.1f} %",
            f"{middle['output_tokens']:,}",
            spread(ratios(turns, name)) if OURS in turns else "",
            spread(_bounds(turns, name)) if OURS in turns else "",
        ))  # fmt: skip
    return [f"| {' | '.join(row)} |" for row in rows]


def _rows_per_second(runs: list[dict[str, Any]]) -> str:
    known = [run["table_rows"] / run["seconds"] for run in runs if "table_rows" in run]
    return f"{median(known):,.0f}" if known else ""


def _bounds(turns: Turns, name: str) -> list[float]:
    return [by_tokens(one, two) for one, two in zip(turns[name], turns[OURS], strict=False)]


def _shared(turns: Turns, most: list[float]) -> str:
    """How much of the data's tokens was shared, beside what can be; of two calls together nothing is known of that."""
    shares = []
    for name in (OURS, "cached"):
        runs = [run for run in turns.get(name, ()) if run.get("static_tokens") is not None]
        if len(most) == 1 and runs:
            of = [run["cached_data_tokens"] / max(1, run["prompt_tokens"] - run["static_tokens"]) for run in runs]
            shares.append(f"{name} shared {100 * median(of):.1f} %")
    bounds = ", ".join(f"{100 * share:.1f} %" for share in most)
    told = f"{'; '.join(shares)}. " if shares else ""
    return f"Of the data's tokens {told}In no order can more of them be shared than {bounds} of a call's."


def where(turns: Turns) -> dict[str, float]:
    """Share of sparkllm's time that each part takes, mean over the turns, 0..1."""
    runs = [run for run in turns.get(OURS, ()) if run.get("where")]
    whole = sum(run["seconds"] for run in runs)
    return {part: sum(run["where"].get(part, 0.0) for run in runs) / whole for part in PARTS} if runs else {}


def _reached(record: dict[str, Any]) -> list[str]:
    rows = [("", "speed-up", "by tokens", "reached", "by line", "reached"), ("---", *["---:"] * 5)]
    for cell, turns in cells(record):
        if all(name in turns for name in (OURS, "cached")):
            ratio = ratios(turns, "cached")
            tokens = _bounds(turns, "cached")
            runs = zip(turns.get("uncached", ()), turns["cached"], turns[OURS], ratio, strict=False)
            lines = [(bound, r) for *of, r in runs if (bound := by_line(*of)) is not None]
            line = (spread([b for b, _ in lines]), spread([r / b for b, r in lines])) if lines else ("", "")
            by = [r / b for r, b in zip(ratio, tokens, strict=True)]
            rows.append((", ".join(cell), spread(ratio), spread(tokens), spread(by), *line))
    return [f"| {' | '.join(row)} |" for row in rows]


def _where(record: dict[str, Any]) -> list[str]:
    rows = [("", *PARTS), ("---", *["---:"] * len(PARTS))]
    for cell, turns in cells(record):
        if shares := where(turns):
            rows.append((", ".join(cell), *(f"{100 * share:.1f}" for share in shares.values())))
    return [f"| {' | '.join(row)} |" for row in rows]


def _summary(record: dict[str, Any]) -> list[str]:
    found = [(f"{query}, {order}", turns) for (query, order), turns in cells(record) if OURS in turns]
    names = [name for name in record["contenders"] if name != OURS]
    rows = [("over", *names), ("---", *["---:"] * len(names))]
    rows += [(cell, *(spread(r) if (r := ratios(turns, name)) else "" for name in names)) for cell, turns in found]
    means = []
    for name in names:
        medians = [median(r) for _, turns in found if (r := ratios(turns, name))]
        means.append(f"**{geometric_mean(medians):.2f}**" if medians else "")
    gains = [_most([(cell, ratios(turns, name)) for cell, turns in found]) for name in names]
    return [f"| {' | '.join(row)} |" for row in [*rows, ("geometric mean", *means), ("most", *gains)]]


def _most(of: list[tuple[str, list[float]]]) -> str:
    """Where the lower quartile of the speed-up is largest."""
    lows = {cell: np.quantile(ratio, 0.25) for cell, ratio in of if ratio}
    return max(lows, key=lambda cell: lows[cell]) if lows else ""


if __name__ == "__main__":
    main()
