"""What stands below and above a co-located call runs once, and each row is asked once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from sparkllm.spark_session import last_reports
from tests.optimizer.co_located import ADAPTIVE, CALL, ROWS, asked, is_placed
from tests.optimizer.queries import plan, rows_asked
from tests.settings import configured


def test_rows_of_an_rdd_are_computed_once(placed: SparkSession) -> None:
    runs = placed.sparkContext.accumulator(0)

    def counted(i: int) -> tuple[str]:
        runs.add(1)
        return (f"text {i}",)

    rdd = placed.sparkContext.parallelize(range(500), 2).map(counted)
    frame = placed.createDataFrame(rdd, "review string").union(placed.table("t").select("review"))
    frame = frame.selectExpr("llm('Is it good?', review)")
    assert is_placed(frame)
    assert len(asked(frame)) == ROWS + 500
    assert runs.value == 500


def test_a_users_script_runs_once(placed: SparkSession, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/bash\ntouch {tmp_path}/run-$$\nexec cat\n", encoding="utf-8")
    script.chmod(0o755)
    frame = placed.sql(
        f"SELECT llm('Is it good?', a) FROM (SELECT TRANSFORM (review) USING '{script}' AS (a STRING) FROM t)"
    )
    assert is_placed(frame)
    parts = placed.table("t").rdd.getNumPartitions()
    assert len(asked(frame)) == ROWS
    assert len(list(tmp_path.glob("run-*"))) == parts


def test_a_python_data_source_is_read_once(placed: SparkSession, tmp_path: Path) -> None:
    placed.dataSource.register(counting_source(str(tmp_path)))
    frame = placed.read.format("counting").load().selectExpr("llm('Is it good?', review)")
    assert is_placed(frame)
    assert len(asked(frame)) == 2000
    assert len(list(tmp_path.iterdir())) == 1


def counting_source(folder: str) -> type[DataSource]:
    """A source of 2,000 rows that leaves a file in `folder` for each read of its one partition."""

    class Reader(DataSourceReader):
        def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
            import uuid
            from pathlib import Path

            Path(folder, uuid.uuid4().hex).touch()
            return ((f"review {i}",) for i in range(2000))

    class Counting(DataSource):
        @classmethod
        def name(cls) -> str:
            return "counting"

        def schema(self) -> str:
            return "review string"

        def reader(self, schema: Any) -> DataSourceReader:
            return Reader()

    return Counting


@ADAPTIVE
@pytest.mark.parametrize(
    "command",
    [
        "CREATE TABLE {name} USING parquet AS SELECT id, {call} AS c FROM t",
        "CREATE TABLE {name} USING parquet AS SELECT id, {call} AS c FROM t ORDER BY c, id",
    ],
)
def test_a_table_written_from_a_query_asks_each_row_once(placed: SparkSession, adaptive: str, command: str) -> None:
    with configured(placed, {"spark.sql.adaptive.enabled": adaptive}):
        placed.sql("DROP TABLE IF EXISTS written")
        placed.sql(command.format(name="written", call=CALL))
        assert rows_asked(placed) == [ROWS]
        assert placed.sql("SELECT count(DISTINCT id), count(c) FROM written").first() == (ROWS, ROWS)
        placed.sql("DROP TABLE written")


def test_a_cached_frame_asks_once(placed: SparkSession) -> None:
    frame = placed.sql(f"SELECT id, {CALL} AS c FROM t").cache()
    try:
        assert len(frame.collect()) == ROWS
        before = last_reports(placed, 1)
        assert frame.filter("c IS NOT NULL").count() == ROWS
        assert placed.sql(f"SELECT id, {CALL} AS c FROM t").count() == ROWS
        assert last_reports(placed, 1) == before
    finally:
        frame.unpersist()


@ADAPTIVE
def test_a_call_over_the_answers_of_a_cte_asks_each_row_once(placed: SparkSession, adaptive: str) -> None:
    with configured(placed, {"spark.sql.adaptive.enabled": adaptive}):
        frame = placed.sql(f"""
            WITH a AS (SELECT id, {CALL} AS c FROM t)
            SELECT x.id, llm('Is it short?', x.c) FROM a AS x JOIN a AS y ON x.id = y.id""")
        assert len(frame.collect()) == ROWS
    assert sorted(rows_asked(placed)) == [ROWS, ROWS]


def test_branches_of_a_union_are_each_placed(placed: SparkSession) -> None:
    frame = placed.sql(f"SELECT id, {CALL} FROM t UNION ALL SELECT id, llm('Is it cheap?', review) FROM t")
    assert plan(frame).count("KeyedRows") == 2
    assert Counter(row[0] for row in frame.collect()) == dict.fromkeys(range(ROWS), 2)


def test_three_calls_on_the_same_fields_share_one_shuffle(placed: SparkSession) -> None:
    frame = placed.sql("""
        SELECT id, llm('Is it cheap?', product, review) AS a,
          CASE WHEN id % 2 = 0 THEN llm('Is it new?', product, review) END AS b,
          llm('Is it good?', product, review) AS c FROM t""")
    assert plan(frame).count("KeyedRows") == 1
    rows = frame.collect()
    assert len(rows) == ROWS
    assert all(json.loads(row.a)[2] == json.loads(row.c)[2] for row in rows)
    assert all((row.b is None) == (row.id % 2 == 1) for row in rows)
