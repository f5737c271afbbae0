"""A plan: how many replicas of what, which rows where, what it costs and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkllm.backend.placement.gpu import ReplicaKind
from sparkllm.backend.placement.problem import Problem, Split
from sparkllm.backend.placement.solve import solve
from sparkllm.backend.placement.terms import Terms
from sparkllm.backend.placement.workload import Workload

__all__ = ["Alternative", "Plan"]


@dataclass(frozen=True)
class Alternative:
    """The best with one GPU type alone, on the same terms.

    Attributes:
        gpu: name of the type.
        replicas: of each kind; empty where the type cannot do it.
        usd, seconds: NaN where it cannot.
        reason: why it cannot, else empty.
        gpus: how many of the type.
    """

    gpu: str
    replicas: Mapping[str, int]
    usd: float
    seconds: float
    reason: str = ""
    gpus: int = 0


@dataclass(frozen=True, eq=False)
class Plan:
    """A placement that keeps to the terms. Kinds of replica are named as `L4`, or `2xL4` for one on two GPUs.

    Attributes:
        workload, terms: what was asked for.
        model: its name.
        kinds: all that were considered, [g].
        problem, split: the same in numbers, [b, g].
        cluster: int64 [g], the replicas that were given; None where they were chosen.
        unpriced: GPU types that were left out, as no price is known.
        measured: GPU types with measured rates of this model.
    """

    workload: Workload
    terms: Terms
    model: str
    kinds: tuple[ReplicaKind, ...]
    problem: Problem
    split: Split
    cluster: np.ndarray | None = None
    unpriced: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()

    feasible = True

    @property
    def usd(self) -> float:
        """Cost: replica-hours of work and start at list prices, or until the deadline where they are held."""
        return self.split.usd

    @property
    def seconds(self) -> float:
        """Until the last replica is done, starts included."""
        return 3600 * self.split.hours

    @property
    def replicas(self) -> dict[str, int]:
        """Of each kind that is used."""
        return _counted(self.kinds, self.split.replicas)

    @property
    def gpus(self) -> dict[str, int]:
        """GPUs of each type that is used."""
        found: dict[str, int] = {}
        for g in np.flatnonzero(self.split.replicas):
            kind = self.kinds[g]
            found[kind.gpu.name] = found.get(kind.gpu.name, 0) + int(self.split.replicas[g]) * kind.tensor_parallel
        return found

    @property
    def routing(self) -> tuple[dict[str, float], ...]:
        """For each bucket of the workload the share of its rows that goes to each kind; sums to 1."""
        return tuple(
            {self.kinds[g].name: float(shares[g]) for g in np.flatnonzero(shares)} for shares in self.split.shares
        )

    @property
    def rows(self) -> dict[str, float]:
        """Rows that go to each kind that is used."""
        rows = np.array([bucket.rows for bucket in self.workload.buckets]) @ self.split.shares
        return {self.kinds[g].name: float(rows[g]) for g in np.flatnonzero(self.split.replicas)}

    @property
    def utilisation(self) -> dict[str, float]:
        """Of each kind that is used: share of its replicas' time that is work, from start to the plan's end, 0..1."""
        busy = self.split.busy(self.problem)
        used = np.flatnonzero(self.split.replicas)
        left = self.split.replicas[used] * (self.split.hours - self.problem.start[used])
        return {self.kinds[g].name: float(share) for g, share in zip(used, busy[used] / left, strict=True)}

    def alternatives(self) -> tuple[Alternative, ...]:
        """Each GPU type alone on the same terms; solved when asked for."""
        return tuple(self._alone(name) for name in dict.fromkeys(kind.gpu.name for kind in self.kinds))

    def explain(self) -> str:
        """A table to read: this plan beside each type alone, then who does what."""
        from sparkllm.backend.placement.explain import explain

        return explain(self)

    def profiles(self, **options: Any) -> dict[str, Any]:
        """Spark's ResourceProfile of an executor with one replica, for each kind that is used.

        Args:
            **options: see on_spark.Executors.
        """
        from sparkllm.backend.placement.on_spark import profiles

        return profiles(self, **options)

    def on(self, spark: Any, **options: Any) -> AbstractContextManager[bool]:
        """`with plan.on(spark):` the queries of the block send their rows to the GPU types of this plan.

        Gives False where the cluster cannot have executors of several kinds; queries then run as without a plan.

        Args:
            spark: the session.
            **options: see on_spark.Executors.
        """
        from sparkllm.backend.placement.on_spark import on

        return on(self, spark, **options)

    def apply(self, spark: Any, **options: Any) -> bool:
        """As `on`, until `clear`, or until another plan is applied."""
        from sparkllm.backend.placement.on_spark import apply

        return apply(self, spark, **options)

    def clear(self, spark: Any) -> None:
        """Queries of this session no longer follow a plan."""
        from sparkllm.backend.placement.on_spark import clear

        clear(spark)

    def _alone(self, name: str) -> Alternative:
        places = np.array([g for g, kind in enumerate(self.kinds) if kind.gpu.name == name])
        problem, kinds = self.problem.only(places), [self.kinds[g] for g in places]
        cluster = None if self.cluster is None else self.cluster[places]
        nothing = Alternative(name, {}, float("nan"), float("nan"))
        if len(problem.homeless):
            buckets = [self.workload.buckets[b] for b in problem.homeless]
            rows = sum(bucket.rows for bucket in buckets)
            return Alternative(name, {}, nothing.usd, nothing.seconds, f"{rows:,.0f} rows do not fit")
        found = solve(problem, self.terms, cluster)
        if found is None:
            return Alternative(name, {}, nothing.usd, nothing.seconds, "not within these limits")
        gpus = int(problem.gpus @ found.replicas)
        return Alternative(name, _counted(kinds, found.replicas), found.usd, 3600 * found.hours, gpus=gpus)


def _counted(kinds: tuple[ReplicaKind, ...] | list[ReplicaKind], replicas: np.ndarray) -> dict[str, int]:
    return {kinds[g].name: int(replicas[g]) for g in np.flatnonzero(replicas)}
