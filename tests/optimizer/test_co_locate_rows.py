"""Which rows co-location takes, and where they go: none, equal ones, guarded ones, in whatever order they come."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from tests.optimizer.co_located import ADAPTIVE, CALL, ROWS, TASKS, is_placed, tasks_by_id
from tests.optimizer.noise import noise
from tests.optimizer.queries import rows_asked
from tests.settings import configured


@ADAPTIVE
@pytest.mark.parametrize(("condition", "count"), [("id < 0", 0), ("id = 5", 1), ("id % 2000 = 7", 3)])
def test_no_row_one_row_and_equal_rows_are_answered(
    placed: SparkSession, adaptive: str, condition: str, count: int
) -> None:
    with configured(placed, {"spark.sql.adaptive.enabled": adaptive}):
        frame = placed.sql(f"SELECT id, {CALL} FROM t WHERE {condition}")
        assert is_placed(frame)
        assert len(frame.collect()) == count


def test_rows_whose_guard_is_false_are_kept_and_not_asked(placed: SparkSession) -> None:
    frame = placed.sql(f"SELECT id, CASE WHEN id % 3 = 0 THEN {CALL} END AS c FROM t")
    assert is_placed(frame)
    got = {row.id: row.c for row in frame.collect()}
    assert {i for i, c in got.items() if c is not None} == set(range(0, ROWS, 3))
    assert len(got) == ROWS
    assert rows_asked(placed) == [ROWS // 3]


@pytest.mark.parametrize(("setting", "value"), [("temperature", "0.7"), ("optimizer.dedup", "false")])
def test_a_value_that_most_rows_have_is_spread_where_each_row_is_asked(
    placed: SparkSession, setting: str, value: str
) -> None:
    """Equal prompts are then not one request: in one task, they would be nearly all requests of the query."""
    sql = "SELECT id, llm('Write a story', CASE WHEN id % 10 = 0 THEN review ELSE 'about a cat' END) FROM t"

    def tasks() -> set[int]:
        frame = placed.sql(sql)
        assert is_placed(frame)
        found = tasks_by_id(frame)
        assert len(found) == ROWS
        return {task for i, task in found.items() if i % 10}

    assert len(tasks()) == 1
    with configured(placed, {f"spark.sparkllm.{setting}": value}):
        assert len(tasks()) >= 3  # what the other, longer rows leave of eight


def test_a_row_goes_to_the_same_task_in_whatever_order_its_partition_comes(
    placed: SparkSession, tmp_path: Path
) -> None:
    """A task that runs again after a shuffle may get its rows in another order; rows would be lost and doubled."""
    rows = pd.DataFrame({"id": range(3000), "text": [noise(i, 900) if i % 2 else None for i in range(3000)]})
    found = []
    for name, some in (("as is", rows), ("turned", rows.iloc[::-1])):
        (tmp_path / name).mkdir()
        some.to_parquet(tmp_path / name / "rows.parquet", index=False)
        frame = placed.read.parquet(str(tmp_path / name)).selectExpr("id", "llm('Is it good?', text)")
        assert is_placed(frame)
        found.append(tasks_by_id(frame))
    assert found[0] == found[1]
    assert len({found[0][i] for i in range(0, 3000, 2)}) == TASKS


def test_the_file_of_a_row_is_known_above_a_call(placed: SparkSession) -> None:
    rows = placed.sql(f"SELECT id, input_file_name() AS file, {CALL} FROM t").collect()
    assert {row.id: row.file.rsplit("/", 1)[1] for row in rows} == {i: f"{i % 4}.parquet" for i in range(ROWS)}


def test_rows_sorted_within_their_partitions_stay_so(placed: SparkSession) -> None:
    frame = placed.table("t").repartition(2, "shop").sortWithinPartitions("id").selectExpr("id", CALL)
    parts = frame.rdd.mapPartitions(lambda rows: [[row[0] for row in rows]]).collect()
    assert sum(map(len, parts)) == ROWS
    assert all(ids == sorted(ids) for ids in parts)
