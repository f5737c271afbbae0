"""A plan for Spark on Kubernetes: what puts the executors of each pool onto nodes with its GPU type.

Spark has one pod template for all executors of an application, and of it only what is not a resource holds for resource
profiles: a profile asks for its GPUs itself. Pods of profile n carry the label spark-exec-resourceprofile-id=n. So
there are two ways, and both are written out: an application for each pool, with a template that names the nodes; or
profiles in one application, with an admission policy for each profile that adds what its template cannot say.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sparkllm.backend.placement.gpu import ReplicaKind
from sparkllm.backend.placement.routes import routes

if TYPE_CHECKING:
    from sparkllm.backend.placement.placement import Plan

__all__ = ["kubernetes", "manifests"]

_VERSION = "admissionregistration.k8s.io/v1"
_LABEL = "sparkllm-placement"
_SCRIPT = "/opt/spark/examples/src/main/scripts/getGpusResources.sh"


def manifests(plan: Plan) -> list[dict[str, Any]]:
    """For each pool a pod template, then for each pool a policy and its binding."""
    pools = _pools(plan)
    found = [_template(kind) for kind, _ in pools]
    for profile, (kind, _) in enumerate(pools, 1):
        found += [_policy(kind, profile), _binding(kind)]
    return found


def kubernetes(plan: Plan) -> str:
    """As one YAML stream, each manifest as JSON, which YAML contains, under comments that say what to do with it."""
    pools = _pools(plan)
    written = [json.dumps(manifest, indent=2) for manifest in manifests(plan)]
    parts = [_one(plan, kind, count, text) for (kind, count), text in zip(pools, written, strict=False)]
    for profile, (kind, _) in enumerate(pools, 1):
        policy, binding = written[len(pools) + 2 * profile - 2 :][:2]
        parts += [f"{_comment(_profile(kind, profile))}\n{policy}", binding]
    return "\n---\n".join(parts) + "\n"


def _pools(plan: Plan) -> list[tuple[ReplicaKind, int]]:
    return [(kind, plan.replicas[kind.name]) for kind in plan.kinds if kind.name in plan.replicas]


def _one(plan: Plan, kind: ReplicaKind, count: int, text: str) -> str:
    vendor, name = _domain(kind), _name(kind)
    return "\n".join([
        _comment([
            f"Pool {kind.name} as an application of its own: save this as {name}.yaml and submit with",
            f"  --conf spark.kubernetes.executor.podTemplateFile={name}.yaml",
            f"  --conf spark.executor.instances={count}",
            f"  --conf spark.executor.resource.gpu.amount={kind.tensor_parallel}",
            f"  --conf spark.executor.resource.gpu.vendor={vendor}",
            f"  --conf spark.executor.resource.gpu.discoveryScript={_SCRIPT}",
            "It takes the rows of these conditions (bytes: the sum of coalesce(octet_length(field), 0)):",
            *(f"  {route.call or 'all'}: {route.condition}" for route in routes(plan)[kind.name]),
        ]),
        text,
    ])  # fmt: skip


def _profile(kind: ReplicaKind, profile: int) -> list[str]:
    return [
        f"Pool {kind.name} as a resource profile of one application: its template must name no node, and the profile",
        f"itself asks for the resource `gpu`, amount {kind.tensor_parallel}, vendor {_domain(kind)}, cores and memory;",
        "the template's resources do not reach it. Spark numbers profiles from 1 as they are made: compare the number",
        f"below with ResourceProfile.id. Submit with --conf spark.kubernetes.executor.label.{_LABEL}=yes.",
        f"{_VERSION} needs Kubernetes 1.36; 1.34 has v1beta1 behind a feature gate.",
    ]


def _comment(lines: list[str]) -> str:
    return "\n".join(f"# {line}" for line in lines)


def _template(kind: ReplicaKind) -> dict[str, Any]:
    """Only what no resource profile says; Spark fills in the container."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {_LABEL: _name(kind)}}, "spec": _nodes(kind)}


def _nodes(kind: ReplicaKind) -> dict[str, Any]:
    key, value = kind.gpu.label.split("=", 1)
    taint = {"key": f"{_domain(kind)}/gpu", "operator": "Exists", "effect": "NoSchedule"}
    return {"nodeSelector": {key: value}, "tolerations": [taint]}


def _policy(kind: ReplicaKind, profile: int) -> dict[str, Any]:
    labels = {"spark-role": "executor", "spark-exec-resourceprofile-id": str(profile), _LABEL: "yes"}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    nodes = _nodes(kind)
    (taint,) = nodes["tolerations"]
    fields = ", ".join(f"{name}: {json.dumps(value)}" for name, value in taint.items())
    spec = f"nodeSelector: {json.dumps(nodes['nodeSelector'])}, tolerations: [Object.spec.tolerations{{{fields}}}]"
    return {
        "apiVersion": _VERSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": _name(kind)},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {"objectSelector": {"matchLabels": labels}, "resourceRules": [pods]},
            "mutations": [
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {"expression": f"Object{{spec: Object.spec{{{spec}}}}}"},
                }
            ],
        },
    }


def _binding(kind: ReplicaKind) -> dict[str, Any]:
    name = _name(kind)
    spec = {"policyName": name}
    return {"apiVersion": _VERSION, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": spec}


def _name(kind: ReplicaKind) -> str:
    """Of a manifest: lower case, digits and dashes."""
    return f"sparkllm-{kind.name.lower()}"


def _domain(kind: ReplicaKind) -> str:
    """`nvidia.com` of the label `nvidia.com/gpu.product`."""
    return kind.gpu.label.split("/", 1)[0]
