"""A plan, or why there is none, as values for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkllm.backend.placement.infeasible import Infeasible
from sparkllm.backend.placement.placement import Alternative, Plan

if TYPE_CHECKING:
    from sparkllm.backend.placement.workload import Bucket

__all__ = ["record"]


def record(plan: Plan | Infeasible) -> dict[str, Any]:
    """Costs in US dollars, times in hours; what does not hold is null."""
    if isinstance(plan, Infeasible):
        return {
            "feasible": False,
            "constraint": plan.constraint,
            "message": plan.message,
            "nearest_deadline_hours": None if plan.nearest_deadline is None else plan.nearest_deadline / 3600,
            "nearest_budget_usd": plan.nearest_budget,
        }
    terms = plan.terms
    buckets = zip(plan.workload.buckets, plan.routing, strict=True)
    return {
        "feasible": True,
        "model": plan.model,
        "terms": {
            "objective": terms.objective,
            "deadline_hours": terms.hours,
            "budget_usd": terms.budget,
            "billing": terms.billing,
        },
        "rows": plan.workload.rows,
        "usd": plan.usd,
        "hours": plan.seconds / 3600,
        "gpus": plan.gpus,
        "replicas": plan.replicas,
        "buckets": [_bucket(bucket) | {"goes_to": shares} for bucket, shares in buckets],
        "alternatives": [_alternative(one) for one in plan.alternatives()],
        "usd_per_gpu_hour": {kind.gpu.name: kind.gpu.price.usd_per_hour for kind in plan.kinds if kind.gpu.price},
        "notes": list(plan.workload.notes),
    }


def _bucket(bucket: Bucket) -> dict[str, Any]:
    return {
        "call": bucket.call,
        "most_bytes": None if bucket.most_bytes == float("inf") else bucket.most_bytes,
        "input_tokens": bucket.input_tokens,
        "output_tokens": bucket.output_tokens,
        "prefix_hits": bucket.prefix_hits,
        "rows": bucket.rows,
    }


def _alternative(one: Alternative) -> dict[str, Any]:
    if one.reason:
        return {"gpu": one.gpu, "gpus": 0, "replicas": {}, "usd": None, "hours": None, "reason": one.reason}
    shown = {"gpu": one.gpu, "gpus": one.gpus, "replicas": dict(one.replicas)}
    return {**shown, "usd": one.usd, "hours": one.seconds / 3600, "reason": ""}
