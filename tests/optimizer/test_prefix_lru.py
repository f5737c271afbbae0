"""A bounded cache serves what a naive simulation of vLLM's pool of blocks serves."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.optimizer.prefix import Sequences, blocks, lru_blocks, lru_loop
from sparkllm.optimizer.prefix.lru import block_nodes
from tests.optimizer.brute_force import lru_hits

prompts = st.lists(st.lists(st.integers(0, 1), max_size=12), max_size=20)
nested = st.lists(st.integers(0, 12).map(lambda length: list(range(length))), max_size=20)


def room(ids: list[list[int]], size: int, answer: int) -> int:
    return max([1, *(-(-(len(p) + answer - 1) // size) for p in ids)])


@settings(max_examples=300, deadline=None)
@given(prompts | nested, st.integers(1, 3), st.integers(0, 12), st.integers(1, 5), st.integers(1, 5))
def test_a_bounded_cache_serves_what_the_naive_one_serves(
    ids: list[list[int]], size: int, more: int, concurrency: int, answer: int
) -> None:
    capacity = room(ids, size, answer) + more
    got = lru_blocks(Sequences.of(ids), size, capacity, concurrency, answer)
    assert got.hits.tolist() == lru_hits(ids, size, capacity, concurrency, answer)


@settings(max_examples=100, deadline=None)
@given(prompts | nested, st.integers(1, 3), st.integers(1, 4))
def test_a_cache_that_holds_everything_serves_what_one_of_any_size_serves(
    ids: list[list[int]], size: int, concurrency: int
) -> None:
    enough = sum(len(p) // size + 1 for p in ids) + 1
    served = lru_blocks(Sequences.of(ids), size, enough, concurrency)
    assert served.hits.tolist() == blocks(Sequences.of(ids), size).hits.tolist()


def test_the_tail_of_a_finished_request_goes_first() -> None:
    shared = [1, 2, 3, 4]
    ids = [[*shared, 5, 6, 0], [9, 9, 9], [*shared, 5, 6, 0]]  # three whole blocks; then two that take one of them
    assert lru_blocks(Sequences.of(ids), 2, capacity=4).hits.tolist() == [0, 0, 4]


def test_blocks_in_flight_are_pinned() -> None:
    ids = [[1, 1, 0], [2, 2, 0], [3, 3, 0], [1, 1, 0]]
    assert lru_blocks(Sequences.of(ids), 2, capacity=6, concurrency=1).hits.tolist() == [0, 0, 0, 2]
    assert lru_blocks(Sequences.of(ids), 2, capacity=4, concurrency=2).hits.tolist() == [0, 0, 0, 0]
    assert lru_blocks(Sequences.of(ids), 2, capacity=4, concurrency=1).hits.tolist() == [0, 0, 0, 2]


def test_a_prompt_that_the_cache_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 3 blocks, the cache has 2"):
        lru_blocks(Sequences.of([[1, 2, 3, 4, 5]]), 2, capacity=2)
    with pytest.raises(ValueError, match="at least 1"):
        lru_blocks(Sequences.of([[1]]), 2, capacity=2, concurrency=0)


def test_no_prompts_need_no_cache() -> None:
    assert lru_blocks(Sequences.of([]), 16, capacity=1).hits.tolist() == []


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The loop as it is where numba is not installed."""
    monkeypatch.setitem(sys.modules, "numba", None)  # type: ignore[arg-type] # import fails
    loaded = {}
    for name in ("compiled", "lru_loop"):
        full = f"sparkllm.optimizer.prefix.{name}"
        spec = importlib.util.find_spec(full)
        assert spec is not None
        assert spec.loader is not None
        loaded[name] = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, full, loaded[name])
        spec.loader.exec_module(loaded[name])
    assert not loaded["compiled"].COMPILED
    return loaded["lru_loop"]


def test_without_numba_the_result_is_the_same(plain: ModuleType) -> None:
    random = np.random.default_rng(3)
    ids = Sequences.of([random.integers(0, 3, random.integers(0, 40)).tolist() for _ in range(400)])
    nodes, starts = block_nodes(ids, 2)
    whole = ids.lengths // 2
    arguments = nodes, starts, np.maximum(0, ids.lengths - 1) // 2, whole, -(-ids.lengths // 2), 60, 3
    found = plain.simulate(*arguments)
    assert found.sum() > 0
    assert found.tolist() == lru_loop.simulate(*arguments).tolist()
