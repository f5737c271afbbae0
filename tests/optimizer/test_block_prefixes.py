"""The prediction of what a KV cache serves."""

import numpy as np
import pytest

from sparkllm.optimizer.prefix.block_prefixes import BlockPrefixes


def served(block: int, *prompts: list[int]) -> list[int]:
    prefixes = BlockPrefixes(block)
    return [prefixes.add(np.array(ids, dtype=np.int32)) for ids in prompts]


def test_a_cold_cache_serves_nothing() -> None:
    assert served(2, [1, 2, 3, 4]) == [0]


def test_only_whole_blocks_are_served() -> None:
    assert served(4, [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 9]) == [0, 4]


def test_the_last_token_is_always_computed() -> None:
    assert served(2, [1, 2, 3, 4], [1, 2, 3, 4]) == [0, 2]


def test_a_block_counts_only_behind_the_same_beginning() -> None:
    assert served(2, [1, 2, 3, 4, 0], [9, 9, 3, 4, 0]) == [0, 0]


def test_blocks_behind_a_miss_are_not_served() -> None:
    assert served(2, [1, 2, 3, 4, 5, 6, 0], [1, 2, 8, 8, 5, 6, 0]) == [0, 2]


@pytest.mark.parametrize("ids", [[], [1]])
def test_prompts_shorter_than_a_block_are_no_hits(ids: list[int]) -> None:
    assert served(2, ids, ids) == [0, 0]
