"""A plan on Spark: a ResourceProfile for each kind of replica, and the setting that routes the rows.

The one file of the package that imports pyspark; placement.py loads it when it is needed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.resource import ExecutorResourceRequests, ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import SparkSession

from sparkllm.backend.placement.gpu import ReplicaKind
from sparkllm.backend.placement.routing import routing
from sparkllm.errors import ConfigError

if TYPE_CHECKING:
    from sparkllm.backend.placement.placement import Plan

__all__ = ["KEY", "Executors", "apply", "clear", "on", "profiles"]

KEY = "spark.sparkllm.placement"
_ENGINE_CORES = 2  # vLLM's own processes, beside the tasks


@dataclass(frozen=True)
class Executors:
    """What an executor with one replica has beside its GPUs.

    Executors without GPUs run all other stages. They must leave cores on the hosts with GPUs: set spark.executor.cores
    and spark.dynamicAllocation.maxExecutors, which holds for each kind of executor.

    Attributes:
        tasks: that share a replica's engine at a time. On several GPUs it is one, whatever is given: only a task that
            holds them all knows the addresses of all.
        cores: of an executor; one for each task and two for the engine when left out.
        memory: of an executor, as in `8g`; Spark's setting when left out.
        memory_overhead: the same outside the JVM, where the engine is.
        resource: Spark's name of the GPUs where all types have the same, as `gpu` on Kubernetes, whose nodes are chosen
            by labels; each type's own of the catalogue when left out.
        discovery_script: path on the executors of a script that tells the GPUs' addresses; YARN and Kubernetes need
            one, a standalone cluster has those of its workers.
    """

    tasks: int = 2
    cores: int | None = None
    memory: str | None = None
    memory_overhead: str | None = None
    resource: str = ""
    discovery_script: str = ""

    def __post_init__(self) -> None:
        for name, value in (("tasks", self.tasks), ("cores", self.cores)):
            if value is not None and not (isinstance(value, int) and value > 0):
                raise ConfigError(f"{name} of an executor takes 1 or more, got {value!r}")

    def tasks_of(self, kind: ReplicaKind) -> int:
        """That share a replica of this kind."""
        return self.tasks if kind.tensor_parallel == 1 else 1

    def profile(self, kind: ReplicaKind) -> ResourceProfile:
        """Of an executor with one replica; `vendor` is for Kubernetes, where it is a part of the resource's name."""
        gpu, tasks = kind.gpu, self.tasks_of(kind)
        resource = self.resource or gpu.resource
        executor = ExecutorResourceRequests().cores(self.cores or tasks + _ENGINE_CORES)
        executor.resource(resource, kind.tensor_parallel, self.discovery_script, gpu.label.partition("/")[0])
        if self.memory:
            executor.memory(self.memory)
        if self.memory_overhead:
            executor.memoryOverhead(self.memory_overhead)
        task = TaskResourceRequests().cpus(1).resource(resource, kind.tensor_parallel / tasks)
        return ResourceProfileBuilder().require(executor).require(task).build


def profiles(plan: Plan, **options: Any) -> dict[str, ResourceProfile]:
    """By the name of the kind, for those that are used.

    Raises:
        ConfigError: an option that cannot be.
    """
    executors = Executors(**options)
    return {kind.name: executors.profile(kind) for kind in plan.kinds if kind.name in plan.replicas}


def apply(plan: Plan, spark: SparkSession, **options: Any) -> bool:
    """Register the profiles and route the rows of the session's queries; False, with a warning, where it cannot be."""
    executors = Executors(**options)
    used = [kind for kind in plan.kinds if kind.name in plan.replicas]
    try:
        ids = {kind.name: _registered(spark, executors, kind) for kind in used}
    except Py4JJavaError as error:
        reason = str(error.java_exception.getMessage())
        warnings.warn(
            f"the placement changes nothing here: this Spark has no executors of several kinds ({reason}). It takes a "
            "standalone, YARN or Kubernetes master and spark.dynamicAllocation.enabled=true",
            stacklevel=3,
        )
        return False
    tasks = {kind.name: executors.tasks_of(kind) for kind in used}
    spark.conf.set(KEY, json.dumps(routing(plan, ids, tasks)))
    return True


def clear(spark: SparkSession) -> None:
    """Undo `apply`; safe without one."""
    spark.conf.unset(KEY)


@contextmanager
def on(plan: Plan, spark: SparkSession, **options: Any) -> Iterator[bool]:
    """`apply` for the length of a block; then whatever was there before."""
    before = spark.conf.get(KEY, None)
    try:
        yield apply(plan, spark, **options)
    finally:
        if before is None:
            clear(spark)
        else:
            spark.conf.set(KEY, before)


def _registered(spark: SparkSession, executors: Executors, kind: ReplicaKind) -> int:
    """Id of the profile: that of an earlier plan of the application, whose executors and engines are there already."""
    context: Any = spark.sparkContext
    known: dict[tuple[Executors, str], int] = context.__dict__.setdefault("_sparkllm_profiles", {})
    if (executors, kind.name) not in known:
        profile = executors.profile(kind)
        context.emptyRDD().withResources(profile)  # Spark checks it, and remembers it
        known[executors, kind.name] = profile.id
    return known[executors, kind.name]
