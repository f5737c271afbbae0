"""The dry run's prefix cache against the planner's exact counts of the same prompts."""

from __future__ import annotations

import numpy as np
import pytest

from sparkllm.backend.block_cache import BlockCache
from sparkllm.optimizer.prefix import BlockPrefixes


def random_prompts(seed: int, number: int = 400) -> list[list[int]]:
    """With common beginnings of every length."""
    rng = np.random.default_rng(seed)
    made: list[list[int]] = [[1]]
    for _ in range(number):
        old = made[rng.integers(len(made))]
        made.append(old[: rng.integers(len(old) + 1)] + rng.integers(0, 3, rng.integers(1, 30)).tolist())
    return made


@pytest.mark.parametrize("size", [1, 2, 16])
def test_with_room_for_all_it_serves_what_the_planner_predicts(size: int) -> None:
    cache, predicted = BlockCache(size, 10**6), BlockPrefixes(size)
    for ids in random_prompts(size):
        assert cache.add(ids) == predicted.add(np.array(ids, dtype=np.int32))


def test_the_least_recently_used_goes_first() -> None:
    cache = BlockCache(2, 4)
    first, second, third = [1, 1, 1], [2, 2, 2], [3, 3, 3]  # two blocks each, one of them not full
    assert [cache.add(ids) for ids in (first, second, first, third, first, second)] == [0, 0, 2, 0, 2, 0]


def test_of_a_prompt_the_end_goes_first() -> None:
    cache = BlockCache(1, 5)
    cache.add([1, 2, 3, 4])
    cache.add([7, 8, 9])  # takes the room of two blocks
    assert cache.add([1, 2, 3, 4]) == 2


def test_it_never_holds_more_than_there_is_room_for() -> None:
    cache = BlockCache(4, 50)
    for ids in random_prompts(7):
        cache.add(ids)
    assert len(cache._cached) == 50
    cache.clear()
    assert cache.add([1] * 8) == 0
