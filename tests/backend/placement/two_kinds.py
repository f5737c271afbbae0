"""A plan over two GPU types with rates that are given, so that its routing is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sparkllm
from sparkllm.backend.placement import Bucket, Catalog, MeasuredRate, ModelShape, Plan, Serving, Workload, load, plan

__all__ = ["LONG", "SHORT", "measured_plan"]

SHORT, LONG = 100, 1000  # input tokens


def measured_plan(
    buckets: tuple[Bucket, ...], rates: Mapping[tuple[str, int], float], cluster: Mapping[str, int]
) -> Plan:
    """The fastest split on these replicas.

    Args:
        buckets: with five output tokens.
        rates: rows a second by GPU type and input tokens.
        cluster: replicas.
    """
    measured = tuple(MeasuredRate("demo", gpu, tokens, 5, rate) for (gpu, tokens), rate in rates.items())
    model = ModelShape.from_folder(Path(sparkllm.__file__).parent / "demo" / "model", "demo")
    catalog = Catalog(load().gpus, measured)
    found = plan(Workload(buckets), model, catalog, cluster=cluster, serving=Serving(start_seconds=0))
    assert isinstance(found, Plan)
    return found
