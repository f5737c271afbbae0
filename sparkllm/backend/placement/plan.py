"""The entry: a workload, a model and a catalogue -> which GPUs, how many, which rows where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sparkllm.backend.placement.catalog import Catalog, load
from sparkllm.backend.placement.gpu import ReplicaKind
from sparkllm.backend.placement.infeasible import Infeasible, why
from sparkllm.backend.placement.model_shape import ModelShape
from sparkllm.backend.placement.placement import Plan
from sparkllm.backend.placement.problem import RELEASED, Problem
from sparkllm.backend.placement.replica_kinds import named_kind, replica_kinds, undominated
from sparkllm.backend.placement.solve import solve
from sparkllm.backend.placement.terms import COST, Terms
from sparkllm.backend.placement.throughput import Serving, rate
from sparkllm.backend.placement.workload import Workload
from sparkllm.errors import ConfigError

__all__ = ["plan"]


def plan(
    workload: Workload,
    model: ModelShape,
    catalog: Catalog | None = None,
    objective: str = COST,
    deadline: float | None = None,
    budget: float | None = None,
    available: Mapping[str, float] | None = None,
    cluster: Mapping[str, int] | None = None,
    billing: str = RELEASED,
    serving: Serving | None = None,
) -> Plan | Infeasible:
    """Place a workload on GPU types.

    Without start-up, limits and deadline the answer is trivial, each bucket to its cheapest type; whole replicas,
    start-up, availability, deadlines and budgets are what the solver is for.

    Args:
        workload: rows by size; the plan's has only the buckets with rows.
        model: what it runs on.
        catalog: GPU types, prices, measured rates; the built-in one when left out.
        objective: `cost`, the cheapest that meets the deadline, or `time`, the fastest that meets the budget.
        deadline: seconds, starts of replicas included.
        budget: US dollars.
        available: GPUs there are, by type; types left out are not there. Without it every type that has a price may
            be used, in any number.
        cluster: replicas that run already or are decided, such as {"L4": 3, "2xA100-80": 1}: then the rows alone are
            placed, so that the last replica is done first, whatever the objective. For engines that run already give
            Serving(start_seconds=0).
        billing: `released`, a replica is paid until it is done, or `held`, all are paid until the deadline.
        serving: how the engines run; vLLM's defaults when left out.

    Returns:
        The plan, or what makes it impossible and what would do; both have `feasible` and `explain()`.

    Raises:
        ConfigError: arguments that contradict each other, or a GPU type that is unknown or has no price.
    """
    catalog, serving = catalog or load(), serving or Serving()
    terms = Terms(objective, deadline, budget, billing, bounded=available is not None or cluster is not None)
    if cluster is not None and (available is not None or billing != RELEASED):
        raise ConfigError("a cluster is counted and paid as it is: `available` and billing='held' are not for it")
    workload = replace(workload, buckets=tuple(bucket for bucket in workload.buckets if bucket.rows))
    kinds = _kinds(catalog, model, available, cluster)
    rates = np.array([[rate(k, model, b, serving, catalog.measured) for k in kinds] for b in workload.buckets])
    count = None
    if cluster is None:
        keep = undominated(kinds, rates)
        kinds, rates = tuple(kinds[g] for g in keep), rates[:, keep]
    else:
        count = np.array(list(cluster.values()), dtype=np.int64)
    problem = _problem(workload, kinds, rates, serving, available, count)
    split = solve(problem, terms, count)
    if split is None:
        return why(problem, terms, workload.buckets, count)
    unpriced = () if available is not None or cluster is not None else catalog.unpriced
    measured = tuple(dict.fromkeys(m.gpu for m in catalog.measured if m.model == model.name))
    return Plan(workload, terms, model.name, kinds, problem, split, count, unpriced, measured)


def _kinds(
    catalog: Catalog, model: ModelShape, available: Mapping[str, float] | None, cluster: Mapping[str, int] | None
) -> tuple[ReplicaKind, ...]:
    if cluster is not None:
        for name, replicas in cluster.items():
            if not (isinstance(replicas, int) and replicas > 0):
                raise ConfigError(f"cluster[{name!r}] takes replicas, 1 or more, got {replicas!r}")
        kinds = tuple(named_kind(name, dict(catalog.gpus)) for name in cluster)
        catalog.named(kind.gpu.name for kind in kinds)  # each has a price
        return kinds
    for name, gpus in (available or {}).items():
        if not gpus >= 0:
            raise ConfigError(f"available[{name!r}] takes GPUs, 0 or more, got {gpus!r}")
    names = [name for name in catalog.gpus if name not in catalog.unpriced] if available is None else list(available)
    if not names:
        raise ConfigError("no GPU type to plan with: the catalogue has none with a price, or `available` names none")
    return replica_kinds(catalog.named(names), model)


def _problem(
    workload: Workload,
    kinds: tuple[ReplicaKind, ...],
    rates: np.ndarray,
    serving: Serving,
    available: Mapping[str, float] | None,
    cluster: np.ndarray | None,
) -> Problem:
    """In a cluster each kind has GPUs of its own; else kinds of a type share them."""
    gpus = np.array([kind.tensor_parallel for kind in kinds], dtype=np.int64)
    names = list(dict.fromkeys(kind.gpu.name for kind in kinds))
    types = np.array([names.index(kind.gpu.name) for kind in kinds], dtype=np.int64)
    limits = np.array([np.inf if available is None else float(available[name]) for name in names])
    if cluster is not None:
        types, limits = np.arange(len(kinds)), (gpus * cluster).astype(float)
    rows = np.array([bucket.rows for bucket in workload.buckets])
    with np.errstate(divide="ignore"):
        work = rows[:, None] / rates / 3600
    usd = np.array([kind.usd_per_hour for kind in kinds])
    return Problem(work, usd, np.full(len(kinds), serving.start_seconds / 3600), gpus, types, limits)
