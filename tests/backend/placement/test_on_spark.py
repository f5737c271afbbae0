"""A plan's ResourceProfiles, and what it does to a session that cannot have executors of several kinds."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from sparkllm.backend.placement import Bucket, Plan
from sparkllm.backend.placement.on_spark import KEY
from sparkllm.errors import ConfigError
from tests.backend.placement.two_kinds import LONG, SHORT, measured_plan

RATES = {("L4", SHORT): 100, ("A100-80", SHORT): 100, ("L4", LONG): 1, ("A100-80", LONG): 100}


def two_pools(cluster: dict[str, int] | None = None) -> Plan:
    buckets = (Bucket(SHORT, 5, 9000, most_bytes=120), Bucket(LONG, 5, 3000))
    return measured_plan(buckets, RATES, cluster or {"L4": 1, "2xA100-80": 1})


def test_an_executor_has_the_gpus_of_one_replica_and_its_tasks_share_it() -> None:
    profile = two_pools().profiles(tasks=4)["L4"]
    gpu = profile.executorResources["gpu_l4"]
    assert (gpu.amount, gpu.vendor) == (1, "nvidia.com")
    assert profile.taskResources["gpu_l4"].amount == 0.25
    assert profile.taskResources["cpus"].amount == 1
    assert profile.executorResources["cores"].amount == 6


def test_one_task_holds_all_gpus_of_a_replica_on_several() -> None:
    profile = two_pools().profiles(tasks=4)["2xA100-80"]
    assert profile.executorResources["gpu_a100"].amount == 2
    assert profile.taskResources["gpu_a100"].amount == 2


def test_memory_and_a_discovery_script_are_the_users() -> None:
    profile = two_pools().profiles(cores=8, memory="3g", memory_overhead="2g", discovery_script="/opt/gpus.sh")["L4"]
    found = profile.executorResources
    assert found["gpu_l4"].discoveryScript == "/opt/gpus.sh"
    assert (found["cores"].amount, found["memory"].amount, found["memoryOverhead"].amount) == (8, 3072, 2048)


@pytest.mark.parametrize("option", ["tasks", "cores"])
def test_an_executor_has_at_least_one(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} of an executor takes 1 or more"):
        two_pools().profiles(**{option: 0})


@pytest.mark.parametrize("cluster", [{"L4": 1, "A100-80": 1}, {"A100-80": 1}], ids=["two pools", "one pool"])
def test_on_local_cores_nothing_changes_and_a_warning_says_so(spark: SparkSession, cluster: dict[str, int]) -> None:
    with pytest.warns(UserWarning, match=r"the placement changes nothing here.*dynamicAllocation"):
        assert two_pools(cluster).apply(spark) is False
    assert spark.conf.get(KEY, None) is None


def test_a_block_puts_back_what_was_there(spark: SparkSession) -> None:
    with pytest.warns(UserWarning, match="changes nothing"), two_pools().on(spark) as applied:
        assert not applied
    assert spark.conf.get(KEY, None) is None
