"""How long a query's prompts would take one replica on each GPU type of the catalogue, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparkllm.backend.placement.catalog import Catalog
from sparkllm.backend.placement.model_shape import ModelShape
from sparkllm.backend.placement.replica_kinds import replica_kinds
from sparkllm.backend.placement.throughput import COMPARED, Serving, rate
from sparkllm.backend.placement.workload import Bucket

__all__ = ["GPUEstimate", "by_gpu"]


@dataclass(frozen=True)
class GPUEstimate:
    """One replica of the model, kept busy until all is answered; its start is not counted.

    Attributes:
        replica: `L4`, or `2xL4` for a model on two of them.
        seconds: until it is done.
        usd: at the catalogue's price.
        compared: computed speeds of this type were compared with public measurements, or it was measured.
    """

    replica: str
    seconds: float
    usd: float
    compared: bool


def by_gpu(buckets: Sequence[Bucket], model: ModelShape, catalog: Catalog, serving: Serving) -> tuple[GPUEstimate, ...]:
    """The cheapest replica of each GPU type with a price on which the model fits, the cheapest type first."""
    asked = [bucket for bucket in buckets if bucket.rows]
    measured = {one.gpu for one in catalog.measured if one.model == model.name}
    found: dict[str, GPUEstimate] = {}
    for kind in replica_kinds(catalog.named(name for name in catalog.gpus if name not in catalog.unpriced), model):
        rates = [rate(kind, model, bucket, serving, catalog.measured) for bucket in asked]
        if not all(rates):
            continue
        seconds = sum(bucket.rows / each for bucket, each in zip(asked, rates, strict=True))
        name = kind.gpu.name
        one = GPUEstimate(kind.name, seconds, seconds / 3600 * kind.usd_per_hour, name in {*COMPARED, *measured})
        found[name] = min(found.get(name, one), one, key=lambda it: it.usd)
    return tuple(sorted(found.values(), key=lambda it: it.usd))
