"""A plan handed on: routes, Kubernetes, Databricks, JSON and the summary."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.backend.placement import Bucket, Plan, Workload, load, plan
from sparkllm.backend.placement.databricks import databricks_jobs
from sparkllm.backend.placement.kubernetes import kubernetes, manifests
from sparkllm.backend.placement.record import record
from sparkllm.backend.placement.routes import Route, routes
from sparkllm.backend.placement.summary import summary
from tests.backend.placement.public_figures import shape

MODEL = shape("Llama-3.1-8B", "fp16")
CLUSTER = {"L4": 3, "A100-80": 1, "2xH100": 1}
EDGES = (64.0, 128.0, 256.0, 512.0, inf)


def mixed(calls: int = 2) -> Plan:
    """Rows of several sizes and calls on a cluster of three kinds."""
    sizes = [(40, 4), (200, 4), (800, 30), (1500, 100), (3000, 300)]
    buckets = [
        Bucket(i, o, 40_000 / (1 + n), 0.2, f"llm('call {c}', text)", most)
        for c in range(calls)
        for n, ((i, o), most) in enumerate(zip(sizes, EDGES, strict=True))
    ]
    found = plan(Workload(tuple(buckets)), MODEL, cluster=CLUSTER)
    assert isinstance(found, Plan)
    return found


def takes(route: Route, call: str, size: int, part: int) -> bool:
    """Whether its SQL is true of a row of this call, as a database sees it."""
    text = route.condition.replace("pmod(xxhash64(fields), 10000)", str(part)).replace("bytes", str(size))
    return route.call == call and bool(sqlite3.connect(":memory:").execute(f"SELECT {text}").fetchone()[0])


PLAN = mixed()


@given(st.integers(0, 1), st.integers(0, 2000), st.integers(0, 9999))
@settings(max_examples=60, deadline=None)
def test_every_row_goes_to_one_kind(call: int, size: int, part: int) -> None:
    hits = [
        name for name, parts in routes(PLAN).items() for r in parts if takes(r, f"llm('call {call}', text)", size, part)
    ]
    assert len(hits) == 1


def test_as_many_rows_go_where_the_plan_wants_them() -> None:
    draw, found = random.Random(1), dict.fromkeys(PLAN.replicas, 0.0)
    assert any(len(shares) > 1 for shares in PLAN.routing)
    low = 0.0
    for bucket in PLAN.workload.buckets:
        low = 0.0 if low == inf else low
        for _ in range(300):
            size, part = int(low) + 1, draw.randrange(10_000)
            [name] = [n for n, parts in routes(PLAN).items() for r in parts if takes(r, bucket.call, size, part)]
            found[name] += bucket.rows / 300
        low = bucket.most_bytes
    for name, rows in PLAN.rows.items():
        assert found[name] == pytest.approx(rows, abs=0.05 * PLAN.workload.rows)


def test_buckets_side_by_side_are_one_route() -> None:
    alone = plan(PLAN.workload, MODEL, available={"H100": 4})
    assert isinstance(alone, Plan)
    [(_, parts)] = routes(alone).items()
    assert [(r.call, r.condition) for r in parts] == [("llm('call 0', text)", "true"), ("llm('call 1', text)", "true")]


def test_each_pool_has_a_pod_template_that_names_its_nodes_and_no_resources() -> None:
    yaml = pytest.importorskip("yaml")
    read = list(yaml.safe_load_all(kubernetes(PLAN)))
    assert read == manifests(PLAN)
    pods = [one for one in read if one["kind"] == "Pod"]
    labels = {load().gpus[kind].label for kind in ("L4", "A100-80", "H100")}
    assert {"=".join(*pod["spec"]["nodeSelector"].items()) for pod in pods} == labels
    assert all("containers" not in pod["spec"] for pod in pods)


def test_each_profile_has_a_policy_for_its_executors_alone() -> None:
    policies = [one["spec"] for one in manifests(PLAN) if one["kind"] == "MutatingAdmissionPolicy"]
    names = [one["metadata"]["name"] for one in manifests(PLAN) if one["kind"] == "MutatingAdmissionPolicy"]
    bound = [one["spec"]["policyName"] for one in manifests(PLAN) if one["kind"].endswith("Binding")]
    matched = [spec["matchConstraints"]["objectSelector"]["matchLabels"] for spec in policies]
    assert [labels["spark-exec-resourceprofile-id"] for labels in matched] == ["1", "2", "3"]
    assert all(labels["spark-role"] == "executor" for labels in matched)
    assert names == bound
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) for name in names)
    for spec in policies:
        text = spec["mutations"][0]["applyConfiguration"]["expression"]
        assert text.count("{") == text.count("}")
        assert "nodeSelector" in text


def test_an_application_for_a_pool_asks_for_all_gpus_of_a_replica() -> None:
    said = kubernetes(PLAN).split("Pool 2xH100 as an application")[1].split("---")[0]
    assert "spark.executor.resource.gpu.amount=2" in said
    assert "spark.executor.instances=1" in said
    assert all(route.condition in said for route in routes(PLAN)["2xH100"])


def test_databricks_gets_one_job_for_each_kind_with_its_rows() -> None:
    read = json.loads(json.dumps(databricks_jobs(PLAN)))
    by_name = {job["settings"]["name"]: job for job in read["jobs"]}
    assert set(by_name) == {f"sparkllm {name}" for name in CLUSTER}
    [task] = by_name["sparkllm L4"]["settings"]["tasks"]
    assert task["new_cluster"]["node_type_id"] == "g6.2xlarge"
    assert task["new_cluster"]["num_workers"] == 3
    assert json.loads(task["spark_python_task"]["parameters"][1]) == by_name["sparkllm L4"]["routes"]
    [large] = by_name["sparkllm 2xH100"]["settings"]["tasks"]
    options = json.loads(large["new_cluster"]["spark_conf"]["spark.sparkllm.engineOptions"])
    assert options == {"tensor_parallel_size": 2}
    assert large["new_cluster"]["node_type_id"] == "p5.48xlarge"


def test_a_databricks_job_that_is_late_is_told_of_and_not_ended() -> None:
    found = plan(PLAN.workload, MODEL, available={"L4": 40, "H100": 8}, deadline=3600 * 6)
    assert isinstance(found, Plan)
    for job in databricks_jobs(found)["jobs"]:
        assert [rule["value"] for rule in job["settings"]["health"]["rules"]] == [3600 * 6]
        assert "timeout_seconds" not in json.dumps(job)


def test_a_type_without_a_known_node_is_left_to_the_user() -> None:
    found = plan(PLAN.workload, MODEL, cluster={"MI300X": 2})
    assert isinstance(found, Plan)
    [job] = databricks_jobs(found)["jobs"]
    cluster = job["settings"]["tasks"][0]["new_cluster"]
    assert cluster["node_type_id"].startswith("<")
    assert cluster["num_workers"] == 2


def test_the_record_is_plain_json_without_infinities() -> None:
    read = json.loads(json.dumps(record(PLAN), allow_nan=False))
    assert read["feasible"] is True
    assert read["replicas"] == dict(PLAN.replicas)
    assert [bucket["most_bytes"] for bucket in read["buckets"][:5]] == [64, 128, 256, 512, None]
    assert {one["gpu"] for one in read["alternatives"]} == {"L4", "A100-80", "H100"}


def test_the_record_of_an_impossible_placement_says_what_would_do() -> None:
    late = plan(PLAN.workload, MODEL, available={"L4": 1}, deadline=3600)
    read = json.loads(json.dumps(record(late), allow_nan=False))
    assert (read["feasible"], read["constraint"]) == (False, "available")
    assert read["nearest_deadline_hours"] > 1


def test_the_summary_sets_gpus_dollars_and_hours_beside_each_type_alone() -> None:
    work = Workload(PLAN.workload.buckets, ("so many tokens assumed",))
    found = plan(work, MODEL, available={"L4": 40, "H100": 8}, deadline=3600 * 6)
    assert isinstance(found, Plan)
    lines = summary(found).splitlines()
    head = next(line for line in lines if "GPUs" in line)
    assert head.split() == ["GPUs", "$", "hours", "more", "$", "more", "time"]
    rows = [line.split() for line in lines if line.startswith(" only ")]
    assert {row[1] for row in rows} == {"L4", "H100"}
    assert f"{found.usd:,.2f}" in next(line for line in lines if line.startswith(" this plan"))
    assert "so many tokens assumed" in lines[-1]


def test_edges_by_bytes_are_checked() -> None:
    with pytest.raises(Exception, match="most_bytes takes 0 or more"):
        Bucket(1, 1, 1, most_bytes=-1)
