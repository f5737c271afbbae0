"""Two results of the same benchmark, before and after a change: faster, slower, or within the noise, for each query.

    python bench/compare.py OLD.json NEW.json [--noise 0.03]

Of results of `python -m bench.llmsql`, sparkllm's seconds are compared by those of a yardstick that ran in the same
turns (the contender `cached`, else the first other one): a machine that is slower today is slower for both. Exit code 1
where a query is slower. A change counts where the medians differ by more than --noise and a bootstrap of the turns'
ratios leaves less than one chance in twenty that they do not differ at all.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Verdict", "verdict", "verdicts"]

_OURS, _YARDSTICK = "sparkllm", "cached"
_SAMPLES, _DOUBT = 10_000, 0.05

Verdict = tuple[str, str, float, float, float]  # (query, verdict, new by old seconds, its interval's ends)


def main() -> int:
    """Print a line for each query; 1 where one is slower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--noise", type=float, default=0.03, help="relative change that is none")
    args = parser.parse_args()
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (args.old, args.new))
    found = list(verdicts(old, new, args.noise))
    for query, said, ratio, low, high in found:
        print(f"{query:32} {said:13} {ratio:.3f} ({low:.3f}-{high:.3f})")
    for query in sorted({*_ratios(old)} ^ {*_ratios(new)}):
        print(f"{query:32} in one of them only")
    if not found:
        print("expected a query that both results have; found none", file=sys.stderr)
        return 2
    return 1 if any(said == "slower" for _, said, *_ in found) else 0


def verdicts(old: dict[str, Any], new: dict[str, Any], noise: float = 0.03) -> Iterator[Verdict]:
    """One for each query that both have."""
    before, after = _ratios(old), _ratios(new)
    for query in before:
        if query in after:
            yield (query, *verdict(before[query], after[query], noise))


def verdict(before: list[float], after: list[float], noise: float) -> tuple[str, float, float, float]:
    """What two samples of seconds say, with the new median by the old one and the interval of that.

    >>> verdict([1.0, 1.02, 0.98, 1.01, 0.99], [1.2, 1.22, 1.19, 1.21, 1.18], 0.03)[0]
    'slower'
    >>> verdict([1.0, 1.2, 0.8, 1.1, 0.9], [1.05, 1.25, 0.85, 1.15, 0.95], 0.03)[0]
    'within noise'
    >>> verdict([1.0], [2.0], 0.03)[0]  # one turn says nothing of the noise
    'too few turns'
    """
    ratio = float(np.median(after) / np.median(before))
    if min(len(before), len(after)) < 3:
        return "too few turns", ratio, float("nan"), float("nan")
    rng = np.random.default_rng(0)
    medians = [np.median(rng.choice(v, (_SAMPLES, len(v))), axis=1) for v in (np.array(after), np.array(before))]
    low, high = (float(end) for end in np.quantile(medians[0] / medians[1], [_DOUBT / 2, 1 - _DOUBT / 2]))
    if low > 1 and ratio > 1 + noise:
        return "slower", ratio, low, high
    if high < 1 and ratio < 1 - noise:
        return "faster", ratio, low, high
    return "within noise", ratio, low, high


def _ratios(record: dict[str, Any]) -> dict[str, list[float]]:
    """Of each query, turn by turn: sparkllm's seconds by the yardstick's."""
    seconds: dict[tuple[str, int], dict[str, float]] = {}
    for run in record["runs"]:
        seconds.setdefault((f"{run['query']}, {run['order']}", run["turn"]), {})[run["contender"]] = run["seconds"]
    found: dict[str, list[float]] = {}
    for (query, _), by in seconds.items():
        others = [name for name in by if name != _OURS]
        if _OURS in by:
            yardstick = _YARDSTICK if _YARDSTICK in by else others[0] if others else None
            found.setdefault(query, []).append(by[_OURS] / (by[yardstick] if yardstick else 1.0))
    return found


if __name__ == "__main__":
    sys.exit(main())
