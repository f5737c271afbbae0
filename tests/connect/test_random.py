"""Random queries over Spark Connect: the rows of the oracle, whatever is rewritten, and nearly as few calls."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.errors import CallError
from sparkllm.plain_session import ready
from tests.connect.counted import Counted
from tests.optimizer.lazy_values import ANSWERS
from tests.optimizer.minimum_calls import evaluate
from tests.optimizer.queries import in_order
from tests.optimizer.query_generator import generate
from tests.optimizer.query_tree import Select, With
from tests.optimizer.small_tables import COLUMNS, ROWS, TABLES

SEEDS, LONG = range(3000, 3030), range(4000, 4200)
# places that are refused, by the words of the refusal
REFUSED = ("JOIN", "not of an outer query", "aggregate's argument")
TWICE = 2.0  # the most rows asked, against the fewest that can be; over all queries


def oracle_answers() -> Any:
    """What the oracle's calls answer; nested so that Spark sends it by value."""
    words = ANSWERS

    def answer(request: str, fields: list[str | None]) -> dict[str, Any]:
        call = json.loads(request)["call"]
        if all(f is None for f in fields):
            return {"value": None, "error": "null_fields"}
        text = "|".join([call["task"] or call["prompt"], *map(str, fields)])
        return {"value": words[zlib.crc32(text.encode()) % len(words)]}

    return answer


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    return Counted(Path(tmp_path_factory.mktemp("random")) / "asked.jsonl", oracle_answers())


@pytest.fixture(scope="module")
def tables(remote: SparkSession, counted: Counted) -> SparkSession:
    ready(remote, counted.function())
    for name, columns in COLUMNS.items():
        types = ", ".join(f"{column} {'int' if kind == 'int' else 'string'}" for column, kind in columns.items())
        remote.createDataFrame(ROWS[name], types).createOrReplaceTempView(name)
    return remote


def compare(spark: SparkSession, counted: Counted, seed: int) -> tuple[int, int] | None:
    """(rows asked, the fewest that can be) where the rows are right; None for a query that is refused or cached."""
    query = generate(seed)
    if isinstance(query, With) and query.cached:
        return None
    expected, minimum, _ = evaluate(query, TABLES)
    counted.clear()
    try:
        rows = [list(row) for row in sparkllm.sql(spark, str(query)).collect()]
    except CallError as error:
        if any(words in str(error) for words in REFUSED):
            return None
        raise AssertionError(f"seed {seed}\nbefore: {query}\ngot: {error}") from error
    ordered = isinstance(query, Select) and bool(query.order)
    got, expected = (rows, expected) if ordered else (in_order(rows), in_order(expected))
    assert got == expected, f"seed {seed}\nbefore: {query}\ngot: {got}\nexpected: {expected}"
    return len(counted.asked()), minimum


def test_rows_are_the_oracles_and_calls_few(tables: SparkSession, counted: Counted) -> None:
    found = [pair for seed in SEEDS if (pair := compare(tables, counted, seed)) is not None]
    assert len(found) > 0.8 * len(SEEDS)
    assert sum(asked for asked, _ in found) <= TWICE * sum(minimum for _, minimum in found)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG)
def test_rows_are_the_oracles(tables: SparkSession, counted: Counted, seed: int) -> None:
    if compare(tables, counted, seed) is None:
        pytest.skip("refused or cached: no rows to compare")
