"""How long the placement solver takes, and what it saves against whole slices of buckets.

    python bench/placement.py --json bench/results/placement.json

Instances of 36 to 100 buckets and 4 to 6 GPU types (placement_instances.py), of two families:

    catalogue  types of the catalogue, rates by the throughput model, as a user's are
    random     rates at random: each bucket has favourites of its own, many placements cost nearly the same

and of three sorts:

    held       the cheapest GPUs, held for an hour, without limit: the reference's problem
    released   paid until they are done, done in three hours; six minutes of start, at most eight GPUs of a type
    cluster    two GPUs of each type are there: the split that is done first

On the first instances of each family the reference formulation (one binary for each slice and type, Mélange's, with
the same solver) solves `held` too, with 1, 2, 4 and 8 slices to a bucket in turn and a limit of time; what it found by
then counts.

Milliseconds of one call on one core: median and worst of the instances; cpu: the median of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import machine
from placement_instances import Instance, catalogued_instance, random_instance, sliced_cost
from rich.console import Console
from rich.table import Table

from sparkllm.backend.placement.cheapest import cheapest
from sparkllm.backend.placement.earliest import earliest
from sparkllm.backend.placement.problem import HELD, RELEASED, Split

TARGET_MS = {"median": 30, "worst": 500}
SLICES = (1, 2, 4, 8)
FAMILIES: dict[str, Callable[[int], Instance]] = {"catalogue": catalogued_instance, "random": random_instance}
WAYS: dict[str, Callable[[Instance], Split | None]] = {
    "held": lambda i: cheapest(i.problem(), 1.0, HELD),
    "released": lambda i: cheapest(i.problem(start=0.1, available=8), 3.0, RELEASED),
    "cluster": lambda i: earliest(i.problem(), np.full(len(i.usd), 2)),
}


def main() -> None:
    """Solve, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--reference", type=int, default=40, help="instances that the reference solves too")
    parser.add_argument("--limit", type=float, default=5.0, help="seconds for the reference on one instance")
    parser.add_argument("--json", help="write the result to this file")
    args = parser.parse_args()
    load = os.getloadavg()
    results = [timed(family, way, args.instances) for family in FAMILIES for way in WAYS]
    compared = [reference(family, args.reference, args.limit) for family in FAMILIES]
    print(table_of(results, compared))
    if args.json:
        command = f"python bench/placement.py --instances {args.instances} --reference {args.reference}"
        record = {"command": f"{command} --limit {args.limit:g}", **machine(), "load": load, "seeds": args.instances}
        record |= {"unit": "ms", "target": TARGET_MS, "results": results, "reference": compared}
        Path(args.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def timed(family: str, way: str, instances: int) -> dict[str, Any]:
    """One call for each instance, after one to warm up."""
    WAYS[way](FAMILIES[family](0))
    took, cpu, unsolved = [], [], 0
    for seed in range(instances):
        instance = FAMILIES[family](seed)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        unsolved += WAYS[way](instance) is None
        took.append(1000 * (time.perf_counter() - begin))
        cpu.append(1000 * (time.process_time() - begin_cpu))
    times = {"median": median(took), "worst": max(took), "cpu": median(cpu)}
    return {"family": family, "way": way, "instances": instances, **times, "infeasible": unsolved}


def reference(family: str, instances: int, limit: float) -> dict[str, Any]:
    """The same costs or better? Savings are percent of the reference's cost."""
    took, savings = [], []
    for seed in range(instances):
        instance = FAMILIES[family](seed)
        found = WAYS["held"](instance)
        begin = time.perf_counter()
        sliced = sliced_cost(instance, SLICES[seed % len(SLICES)], limit)
        took.append(1000 * (time.perf_counter() - begin))
        assert found is not None
        savings.append(100 * (1 - found.usd / sliced))
    return {
        "family": family,
        "instances": instances,
        "dearer": sum(saving < -1e-4 for saving in savings),
        "cheaper": sum(saving > 1e-4 for saving in savings),
        "savings": {"median": median(savings), "most": max(savings), "least": min(savings)},
        "median": median(took),
        "worst": max(took),
    }


def table_of(results: list[dict[str, Any]], compared: list[dict[str, Any]]) -> str:
    """The results as text."""
    shown = Table("family", "", "instances", "median ms", "worst ms", "cpu ms", "against the reference")
    for r in [*results, *({"way": "reference", **c} for c in compared)]:
        saved = ""
        if "savings" in r:
            saved = f"dearer {r['dearer']}, cheaper {r['cheaper']}, by up to {r['savings']['most']:.2f} %"
        cpu = f"{r['cpu']:.1f}" if "cpu" in r else ""
        times = [f"{r['median']:.1f}", f"{r['worst']:.1f}", cpu]
        shown.add_row(r["family"], r["way"], str(r["instances"]), *times, saved)
    console = Console(width=120)
    with console.capture() as text:
        console.print(shown)
    return text.get()


if __name__ == "__main__":
    main()
