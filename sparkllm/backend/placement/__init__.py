"""Placement by GPU type: which GPUs, how many, and which rows where, before a query runs.

    load(path)                        -> Catalog             GPU types with prices; a user's file extends it
    ModelShape.from_folder(folder)    -> ModelShape          from config.json
    Workload((Bucket(...), ...))      -> Workload            rows by input and output tokens
    plan(workload, model, catalog)    -> Plan | Infeasible   `.explain()` shows either
    with plan.on(spark): ...                                 each row of the queries goes to its GPU type

Pure functions on numbers, without Spark: numpy and scipy, whose HiGHS is the solver. on_spark.py alone knows Spark.
"""

from sparkllm.backend.placement.catalog import Catalog, load
from sparkllm.backend.placement.gpu import GPU, Price, ReplicaKind
from sparkllm.backend.placement.infeasible import Infeasible
from sparkllm.backend.placement.measured import MeasuredRate
from sparkllm.backend.placement.model_shape import ModelShape
from sparkllm.backend.placement.placement import Alternative, Plan
from sparkllm.backend.placement.plan import plan
from sparkllm.backend.placement.throughput import Serving, rate
from sparkllm.backend.placement.workload import Bucket, Workload

__all__ = [
    "GPU",
    "Alternative",
    "Bucket",
    "Catalog",
    "Infeasible",
    "MeasuredRate",
    "ModelShape",
    "Plan",
    "Price",
    "ReplicaKind",
    "Serving",
    "Workload",
    "load",
    "plan",
    "rate",
]
