"""A plan as the Catalyst extension reads it: pools of executors, and which of them takes which rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkllm.backend.placement.placement import Plan

__all__ = ["routing"]


def routing(plan: Plan, profiles: Mapping[str, int], tasks: Mapping[str, int]) -> dict[str, Any]:
    """What Pools.scala reads.

    Buckets of a call that the bytes of a row do not tell apart become one, with the shares of all their rows.

    Args:
        plan: a plan.
        profiles: id of the ResourceProfile of each kind of replica that is used.
        tasks: that share a replica of each at a time.

    Returns:
        {"pools": [{"name", "profile", "replicas", "tasks", "rate"}], "buckets": [{"call", "most_bytes", "shares",
        "seconds"}]}: rows of any size a second; shares of the rows, and seconds of one row on one replica, by pool;
        None for no limit of bytes, and for a row that does not fit.
    """
    used = np.flatnonzero(plan.split.replicas)
    rows = np.array([bucket.rows for bucket in plan.workload.buckets])
    seconds = 3600 * plan.problem.work[:, used] / rows[:, None]
    shares = plan.split.shares[:, used]
    names = [plan.kinds[g].name for g in used]
    rates = _rates(plan.split.replicas[used], rows, seconds)
    pools = [
        {
            "name": name,
            "profile": profiles[name],
            "replicas": plan.replicas[name],
            "tasks": tasks[name],
            "rate": float(rate),
        }
        for name, rate in zip(names, rates, strict=True)
    ]
    alike: dict[tuple[str, float], list[int]] = {}
    for place, bucket in enumerate(plan.workload.buckets):
        alike.setdefault((bucket.call, bucket.most_bytes), []).append(place)
    buckets = []
    for (call, most_bytes), places in alike.items():
        part = np.array(places)
        mixed = _mixed(rows[part], shares[part], seconds[part])
        buckets.append({"call": call, "most_bytes": _number(math.floor, most_bytes), **mixed})
    return {"pools": pools, "buckets": buckets}


def _rates(replicas: np.ndarray, rows: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Rows of any size that each pool does in a second; 0 for one that some do not fit, float64 [g].

    Where none fits them all, as if those that do not fit were not there.
    """
    rates = replicas * rows.sum() / (rows @ seconds)
    if not rates.any():
        rates = replicas * rows.sum() / (rows @ np.where(np.isfinite(seconds), seconds, 0.0))
    return np.asarray(rates)


def _mixed(rows: np.ndarray, shares: np.ndarray, seconds: np.ndarray) -> dict[str, Any]:
    """Several buckets as one; a pool that cannot take all of them gets none, if another can."""
    mean, split = rows @ seconds / rows.sum(), rows @ shares / rows.sum()
    fits = np.where(np.isfinite(mean), split, 0.0)
    split = fits if fits.any() else split
    return {
        "shares": [float(share) for share in split / split.sum()],
        "seconds": [_number(float, each) for each in mean],
    }


def _number(kind: Any, value: float) -> Any:
    """JSON knows no infinity."""
    return kind(value) if math.isfinite(value) else None
