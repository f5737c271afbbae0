"""Random queries: the same rows whatever rules are on, no more calls with them, and most often the fewest there can be.

`make fuzz` tries more of them.
"""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from tests.optimizer.differential import RULES, Comparison, Sessions, compare, sessions

FIRST, QUERIES = 1000, 60
SEEDS = range(FIRST, FIRST + QUERIES)
AT_THE_MINIMUM = 0.90


@pytest.fixture(scope="module")
def found(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    return sessions(spark, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def compared() -> dict[int, Comparison]:
    return {}


def comparison(seed: int, found: Sessions, compared: dict[int, Comparison]) -> Comparison:
    if seed not in compared:
        compared[seed] = compare(found, seed, off=[[RULES[seed % len(RULES)]], RULES])
    return compared[seed]


@pytest.mark.parametrize("seed", SEEDS)
def test_rules_change_no_row_and_add_no_call(seed: int, found: Sessions, compared: dict[int, Comparison]) -> None:
    result = comparison(seed, found, compared)
    assert not result.problems, str(result)


def test_most_queries_ask_the_fewest_rows(found: Sessions, compared: dict[int, Comparison]) -> None:
    results = [comparison(seed, found, compared) for seed in SEEDS]
    others = [r for r in results if r.asked != r.minimum]
    assert 1 - len(others) / QUERIES >= AT_THE_MINIMUM, "\n\n".join(map(str, others))
