"""Two results of the same benchmark, before and after a change: faster, slower, or within the noise, for each query.

    python bench/compare.py OLD.json NEW.json [--noise 0.03]

Of results of `python -m bench.llmsql`. Turn r has the same rows in both, so turns are compared in pairs. What sparkllm
takes is set against a yardstick of the same turn that has none of its code, the pandas UDF: a machine that is slower
today is slower for both. Where a result has no such runs it is the contender `cached`, which would hide a change of
what both share; or nothing, and then the machine's speed is in the verdict; it is said which. A change counts where it
is larger than --noise and would come by chance less than once in twenty comparisons of whole results (t-test of the
logarithms of the paired ratios, Holm's correction over the queries). Exit code 1 where a query is slower or has no run
any more, 2 where the two results are not of the same work.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Verdict", "changes", "unlike", "verdicts"]

_OURS, _YARDSTICKS = "sparkllm", ("udf", "cached")
_ALIKE = ("model", "rows", "max_tokens", "seed", "cores", "cache_tokens")
_FEWEST, _DOUBT = 4, 0.05

Runs = dict[str, dict[int, dict[str, float]]]  # query -> turn -> contender -> seconds


class Verdict(NamedTuple):
    """Of one query: what is said, the new seconds by the old ones, the chance of that, and its pairs of turns."""

    query: str
    said: str
    ratio: float
    chance: float
    turns: int


def main() -> int:
    """Print a line for each query; 1 where one is slower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--noise", type=float, default=0.03, help="relative change that is none")
    args = parser.parse_args()
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (args.old, args.new))
    if different := unlike(old, new):
        print(f"expected two results of the same work; found {different}", file=sys.stderr)
        return 2
    yardstick, found = verdicts(old, new, args.noise)
    print(f"by {yardstick}" if yardstick else "by seconds alone: the machine's speed is in them")
    for one in found:
        print(f"{one.query:32} {one.said:13} {one.ratio:.3f}  chance {one.chance:.3f}  {one.turns} turns")
    if not found:
        print("expected a query that both results have; found none", file=sys.stderr)
        return 2
    lost = [query for query, turns in _runs(old).items() if turns and not _runs(new).get(query)]
    for query in lost:
        print(f"{query:32} no run any more")
    return 1 if lost or any(one.said == "slower" for one in found) else 0


def unlike(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In what two results differ so that their seconds cannot be compared."""
    pairs = ((name, old.get(name), new.get(name)) for name in _ALIKE)
    said = [f"{name} {before} and {after}" for name, before, after in pairs if before != after]
    before, after = (
        {(run["query"], run["order"], run["turn"]): run["table_rows"] for run in record["runs"] if "table_rows" in run}
        for record in (old, new)
    )
    said += [
        f"rows of {', '.join(map(str, turn))}: {before[turn]} and {after[turn]}"
        for turn in sorted(before.keys() & after.keys())
        if before[turn] != after[turn]
    ][:1]
    return ", ".join(said)


def verdicts(old: dict[str, Any], new: dict[str, Any], noise: float = 0.03) -> tuple[str, list[Verdict]]:
    """(the yardstick, or nothing; one verdict for each query that both have)."""
    before, after = _runs(old), _runs(new)
    shared = [query for query in before if query in after]
    yardstick = next((name for name in _YARDSTICKS if shared and all(
        sum(name in run for run in runs[query].values()) >= min(_FEWEST, len(runs[query]))
        for runs in (before, after) for query in shared
    )), "")  # fmt: skip
    logs = {query: changes(before[query], after[query], yardstick) for query in shared}
    chances = {query: _chance(values) for query, values in logs.items()}
    least = _holm({query: chance for query, chance in chances.items() if len(logs[query]) >= _FEWEST})
    return yardstick, [_verdict(query, logs[query], least.get(query, 1.0), noise) for query in shared if logs[query]]


def changes(before: dict[int, dict[str, float]], after: dict[int, dict[str, float]], yardstick: str) -> list[float]:
    """Of each turn that both have, the logarithm of sparkllm's new seconds by its old ones, by the yardstick's.

    A turn whose yardstick failed is left out.
    """

    def level(run: dict[str, float]) -> float:
        return float(np.log(run[_OURS]) - (np.log(run[yardstick]) if yardstick else 0.0))

    turns = [turn for turn in before if turn in after]
    return [
        level(after[turn]) - level(before[turn])
        for turn in turns
        if not yardstick or (yardstick in before[turn] and yardstick in after[turn])
    ]


def _verdict(query: str, logs: list[float], chance: float, noise: float) -> Verdict:
    ratio = float(np.exp(np.mean(logs)))
    if len(logs) < _FEWEST:
        said = "too few turns"
    elif chance >= _DOUBT or 1 / (1 + noise) <= ratio <= 1 + noise:
        said = "within noise"
    else:
        said = "slower" if ratio > 1 else "faster"
    return Verdict(query, said, ratio, chance, len(logs))


def _chance(logs: list[float]) -> float:
    """That there was no change, two-sided."""
    from scipy.stats import ttest_1samp

    if len(logs) < 2 or np.ptp(logs) == 0:
        return 0.0 if len(logs) >= _FEWEST and logs[0] else 1.0
    return float(ttest_1samp(logs, 0.0).pvalue)


def _holm(chances: dict[str, float]) -> dict[str, float]:
    """Corrected for the number of queries: Holm (1979).

    >>> _holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected, most = {}, 0.0
    for place, (query, chance) in enumerate(sorted(chances.items(), key=lambda item: item[1])):
        most = max(most, min(1.0, (len(chances) - place) * chance))
        corrected[query] = most
    return corrected


def _runs(record: dict[str, Any]) -> Runs:
    """The turns that sparkllm has a run in."""
    found: Runs = {}
    for run in record["runs"]:
        turns = found.setdefault(f"{run['query']}, {run['order']}", {})
        turns.setdefault(run["turn"], {})[run["contender"]] = run["seconds"]
    return {query: {n: by for n, by in turns.items() if _OURS in by} for query, turns in found.items()}


if __name__ == "__main__":
    sys.exit(main())
