"""What a task knows of itself."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from pyspark import TaskContext

from sparkllm.udf.task import Task

REQUEST = {"call": {"task": "classify", "fields": ["x"]}, "conf": {}, "application": "app"}


@pytest.mark.parametrize(
    ("resources", "placed", "gpus"),
    [
        ({"gpu_l4": ["3"]}, True, ("3",)),
        ({"gpu_a100": ["4", "5"], "fpga": ["0"]}, True, ("4", "5")),
        ({"gpu_l4": ["3"]}, False, ("3",)),
        ({"gpu": ["0", "1"]}, True, ("0", "1")),
        ({"gpu": ["0"]}, False, ()),  # it may be one of several of the executor, whose one engine sees all
        ({}, True, ()),
    ],
)
def test_a_task_knows_the_gpus_of_its_replica(
    resources: dict[str, list[str]], placed: bool, gpus: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {name: SimpleNamespace(addresses=addresses) for name, addresses in resources.items()}
    context = SimpleNamespace(resources=lambda: given, getLocalProperty=lambda _: None, stageId=lambda: 7)
    monkeypatch.setattr(TaskContext, "get", lambda: context)
    assert Task.from_request(json.dumps(REQUEST | ({"placed": True} if placed else {}))).gpus == gpus


@pytest.mark.parametrize(("execution", "query"), [("41", "41"), (None, "stage-7")])
def test_a_task_knows_its_query(execution: str | None, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What shares a budget, and what a report sums up."""
    context = SimpleNamespace(resources=dict, getLocalProperty=lambda _: execution, stageId=lambda: 7)
    monkeypatch.setattr(TaskContext, "get", lambda: context)
    assert Task.from_request(json.dumps(REQUEST)).query == query
