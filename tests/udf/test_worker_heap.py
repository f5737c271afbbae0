"""What a Python worker keeps from task to task is not searched for garbage behind each of them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from sparkllm.udf.arrow import _keep_what_is_there, ask_engine


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    _keep_what_is_there.cache_clear()
    yield
    gc.unfreeze()


def test_what_is_there_behind_the_first_task_is_searched_no_more() -> None:
    list(ask_engine(iter([])))
    kept = gc.get_freeze_count()
    assert kept > 30_000  # the modules that the core loop imports
    list(ask_engine(iter([])))
    assert gc.get_freeze_count() <= kept  # what a later task leaves behind is searched as ever


def test_garbage_of_the_first_task_is_not_kept() -> None:
    class Node:
        pass

    nodes = [Node() for _ in range(1000)]
    for node in nodes:
        node.itself = node  # type: ignore[attr-defined]
    del nodes, node
    list(ask_engine(iter([])))
    gc.unfreeze()
    assert not [one for one in gc.get_objects() if isinstance(one, Node)]
