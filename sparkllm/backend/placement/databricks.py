"""A plan for Databricks, where a cluster has one type of worker: one job for each kind of replica, side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sparkllm.backend.placement.gpu import ReplicaKind
from sparkllm.backend.placement.routes import routes

if TYPE_CHECKING:
    from sparkllm.backend.placement.placement import Plan

__all__ = ["databricks_jobs"]

# Instances of AWS and the GPUs of one, the smallest first.
_NODES = {
    "T4": {1: "g4dn.xlarge", 4: "g4dn.12xlarge"},
    "L4": {1: "g6.2xlarge", 4: "g6.12xlarge", 8: "g6.48xlarge"},
    "A10G": {1: "g5.2xlarge", 4: "g5.12xlarge", 8: "g5.48xlarge"},
    "L40S": {1: "g6e.2xlarge", 4: "g6e.12xlarge", 8: "g6e.48xlarge"},
    "A100-40": {8: "p4d.24xlarge"},
    "A100-80": {8: "p4de.24xlarge"},
    "H100": {8: "p5.48xlarge"},
    "H200": {8: "p5en.48xlarge"},
}


def databricks_jobs(plan: Plan) -> dict[str, Any]:
    """For each job its rows and, as `settings`, what `POST /api/2.2/jobs/create` takes; `note`: what is left to do.

    Each worker holds as many replicas as its GPUs make; the last worker may hold fewer than it could, so that the
    machines can cost more than the plan's GPUs, which are counted one by one.
    """
    return {
        "note": (
            "Create a job of each `settings` and start them at the same time. Each evaluates, of each call, the rows "
            "of its `routes`, which its script gets as JSON: `bytes` is the sum of coalesce(octet_length(field), 0) "
            "over the call's fields, `fields` are these. Fill in what stands in <>; node types are those of AWS."
        ),
        "jobs": [_job(plan, kind) for kind in plan.kinds if kind.name in plan.replicas],
    }


def _job(plan: Plan, kind: ReplicaKind) -> dict[str, Any]:
    rows = [{"call": route.call, "condition": route.condition} for route in routes(plan)[kind.name]]
    task: dict[str, Any] = {
        "task_key": "rows",
        "new_cluster": _cluster(plan, kind),
        "libraries": [{"pypi": {"package": "sparkllm[gpu]"}}],
        "spark_python_task": {"python_file": "<your script>", "parameters": ["--routes", json.dumps(rows)]},
    }
    tags = {"gpu": kind.gpu.name, "replicas": str(plan.replicas[kind.name])}
    settings: dict[str, Any] = {"name": f"sparkllm {kind.name}", "tags": tags, "tasks": [task]}
    if plan.terms.deadline is not None:  # a warning: a timeout would throw away what was computed
        rule = {"metric": "RUN_DURATION_SECONDS", "op": "GREATER_THAN", "value": round(plan.terms.deadline)}
        settings["health"] = {"rules": [rule]}
    return {"routes": rows, "settings": settings}


def _cluster(plan: Plan, kind: ReplicaKind) -> dict[str, Any]:
    node, workers = _workers(kind, plan.replicas[kind.name])
    conf = {"spark.sparkllm.model": plan.model}
    if kind.tensor_parallel > 1:
        conf["spark.sparkllm.engineOptions"] = json.dumps({"tensor_parallel_size": kind.tensor_parallel})
    return {
        "spark_version": "<a GPU ML runtime with Spark 4>",
        "node_type_id": node,
        "num_workers": workers,
        "data_security_mode": "DATA_SECURITY_MODE_DEDICATED",
        "spark_conf": conf,
    }


def _workers(kind: ReplicaKind, replicas: int) -> tuple[str, int]:
    """The node type that wastes the fewest GPUs, of those the largest, and how many of it."""
    gpus = replicas * kind.tensor_parallel
    fitting = {n: name for n, name in _NODES.get(kind.gpu.name, {}).items() if n % kind.tensor_parallel == 0}
    if not fitting:
        return f"<a node type with {kind.tensor_parallel} {kind.gpu.name} or a multiple>", replicas
    each = min(fitting, key=lambda n: (-(-gpus // n) * n, -n))
    return fitting[each], -(-gpus // each)
