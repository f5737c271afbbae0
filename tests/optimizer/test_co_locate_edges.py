"""Co-location at its edges: random fields, subqueries, users' code, wide tables, other orders of rows, cancellation.

The stand-in for the engine is that of test_co_locate: it answers with the task, the field order and the fields it got.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from sparkllm.spark_session import _scala_object, last_reports, register
from tests.optimizer.test_co_locate import TASKS, asked, noise, plan, stand_in

ROWS = 6000
CALL = "llm('Is it good?', product, shop, review)"
ADAPTIVE = pytest.mark.parametrize("adaptive", ["true", "false"])


@pytest.fixture(scope="module")
def placed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """A session with 6,000 rows, 2,000 of them different, in a table `t` of four files."""
    session = register(spark.newSession(), _function=stand_in())
    session.conf.set("spark.sparkllm.tasks", str(TASKS))
    rows = pd.DataFrame(
        {
            "id": range(ROWS),
            "product": [f"product {i % 40}: {noise(i % 40, 500)}" for i in range(ROWS)],
            "shop": [f"shop {i % 3}" if i % 7 else None for i in range(ROWS)],
            "review": [f"review {i % 2000} {noise(i % 2000, 300)}" for i in range(ROWS)],
        }
    )
    folder = tmp_path_factory.mktemp("t")
    for part in range(4):
        rows.iloc[part::4].to_parquet(folder / f"{part}.parquet", index=False)
    session.read.parquet(str(folder)).createOrReplaceTempView("t")
    session.udf.register("once", lambda text: text, "string")
    return session


@contextmanager
def setting(session: SparkSession, **settings: str) -> Iterator[None]:
    """Settings (`a__b` for a.b) that hold inside the block."""
    keys = {f"spark.{name.replace('__', '.')}": value for name, value in settings.items()}
    before = {key: session.conf.get(key, None) for key in keys}
    for key, value in keys.items():
        session.conf.set(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            session.conf.unset(key) if old is None else session.conf.set(key, old)


def is_placed(frame: DataFrame) -> bool:
    return "KeyedRows" in plan(frame)


def tasks_by_id(frame: DataFrame) -> dict[int, int]:
    """Task of every row; the columns are its id and the answer."""
    return {row[0]: json.loads(row[1])[0] for row in frame.collect()}


def rows_asked(session: SparkSession) -> list[int]:
    """Rows that entered each call of the last query."""
    return [call["rows"] for call in json.loads(last_reports(session, 1)[0])["calls"]]


# What a field may be


@ADAPTIVE
def test_random_fields_are_asked_as_they_were_drawn(placed: SparkSession, adaptive: str) -> None:
    with setting(placed, sql__adaptive__enabled=adaptive):
        rows = asked(placed.sql("SELECT llm('Is it good?', review, string(rand())) FROM t"))
    assert len(rows) == ROWS
    assert len({fields[1] for _, _, fields in rows}) == ROWS


@ADAPTIVE
@pytest.mark.parametrize("value", ["max(shop)", "max(once(shop))"])
def test_a_subquery_may_be_a_field(placed: SparkSession, adaptive: str, value: str) -> None:
    with setting(placed, sql__adaptive__enabled=adaptive):
        frame = placed.sql(f"SELECT llm('Is it good?', review, (SELECT {value} FROM t)) FROM t")
        assert is_placed(frame)
        rows = asked(frame)
    assert len(rows) == ROWS
    assert {fields[1] for _, _, fields in rows} == {"shop 2"}


def test_a_lambda_may_be_in_a_field(placed: SparkSession) -> None:
    frame = placed.sql("SELECT llm('Is it good?', transform(array(shop, review), x -> upper(x))) FROM t WHERE id = 5")
    ((_, _, fields),) = asked(frame)
    assert fields[0] is not None
    assert fields[0].startswith('["SHOP 2","REVIEW 5 ')


@ADAPTIVE
def test_a_call_in_a_subquery_of_a_field_runs_once(placed: SparkSession, adaptive: str) -> None:
    with setting(placed, sql__adaptive__enabled=adaptive):
        frame = placed.sql("SELECT llm('Is it good?', review, (SELECT max(llm('Name it', product)) FROM t)) FROM t")
        assert len(asked(frame)) == ROWS
    assert rows_asked(placed) == [ROWS, ROWS]


def test_fields_of_every_type_give_the_same_prompts_as_without_co_location(placed: SparkSession) -> None:
    sql = """
        SELECT id, llm('Is it good?',
          review, named_struct('a', id, 'b', shop), array(named_struct('c', id)), map(review, id),
          CAST(review AS BINARY), CAST(id AS DECIMAL(20, 3)) / 7, timestamp_seconds(id),
          date_add(DATE'2024-01-01', CAST(id AS INT)), id % 2 = 0, review COLLATE UTF8_LCASE, CAST(id AS DOUBLE) / 0.3,
          make_dt_interval(CAST(id AS INT)), NULL, X'FF00FE') FROM t"""
    on = placed.sql(sql)
    assert is_placed(on)
    got = {row[0]: json.loads(row[1])[2] for row in on.collect()}
    with setting(placed, sparkllm__optimizer__coLocate="false"):
        assert {row[0]: json.loads(row[1])[2] for row in placed.sql(sql).collect()} == got
    assert len(got) == ROWS
    assert got[7][6].startswith("1.00")


def test_very_long_values_come_back_whole(placed: SparkSession, tmp_path: Path) -> None:
    rows = pd.DataFrame({"id": range(40), "text": [noise(i, 300_000 + i) for i in range(40)], "kind": ["k"] * 40})
    rows.to_parquet(tmp_path / "long.parquet", index=False)
    frame = placed.read.parquet(str(tmp_path)).selectExpr("id", "llm('Is it good?', kind, text)")
    assert is_placed(frame)
    got = {row[0]: json.loads(row[1])[2] for row in frame.collect()}
    assert {i: fields[1] == rows.text[i] for i, fields in got.items()} == dict.fromkeys(range(40), True)


def test_two_hundred_fields_are_placed(placed: SparkSession, tmp_path: Path) -> None:
    columns = {f"c{n}": [f"{i % (n + 1)} of {n}" for i in range(1200)] for n in range(200)}
    rows = pd.DataFrame({**columns, "c0": [noise(i, 600) for i in range(1200)]})
    rows.to_parquet(tmp_path / "wide.parquet", index=False)
    frame = placed.read.parquet(str(tmp_path)).selectExpr("llm('Is it good?', *)")
    assert is_placed(frame)
    got = asked(frame)
    assert Counter(fields for _, _, fields in got) == Counter(rows.itertuples(index=False, name=None))
    orders = {order for _, order, _ in got}
    assert [sorted(map(int, order.split(","))) for order in orders] == [list(range(200))]


@pytest.mark.parametrize("width", [3, 32, 50, 200])
def test_what_a_task_tells_of_its_rows_is_about_a_megabyte_at_most(placed: SparkSession, width: int) -> None:
    """Every task holds and sends as much; 16,384 rows of fifty long fields would be 200 MB."""
    text = placed._jvm.org.apache.spark.unsafe.types.UTF8String.fromString  # type: ignore[union-attr]
    fields = object_array(placed, "org.apache.spark.unsafe.types.UTF8String", [text("x" * 1000)] * width)
    sketches, told = _scala_object(placed, "sparkllm.catalyst.FieldSketch"), []
    of_task = _scala_object(placed, "sparkllm.catalyst.BottomRows").bytesOfTask(64)
    for task in range(10):
        sketch = new_sketch(placed, width, 16384, of_task)
        for i in range(1000):
            fields[0] = text(f"{task} {i}")
            sketch.add(fields, 0)
        told.append(sketch.serialize())
    assert max(map(len, told)) < 1.2 * 2**20
    # the driver gets one of all; it is no smaller sample than that of a task
    merged = reduce(lambda a, b: a.merge(b), map(sketches.deserialize, told))
    assert max(map(len, told)) < len(merged.serialize()) < 5 * 2**20


def new_sketch(session: SparkSession, width: int, capacity: int, sample_bytes: int) -> Any:
    """A FieldSketch of the jar."""
    loader = session._jsparkSession.sharedState().jarClassLoader()
    made = loader.loadClass("sparkllm.catalyst.FieldSketch").getConstructors()[0]
    long = session.sparkContext._gateway.jvm.java.lang.Long.valueOf(sample_bytes)  # type: ignore[union-attr]
    return made.newInstance(object_array(session, "java.lang.Object", [width, capacity, long]))


def object_array(session: SparkSession, name: str, values: list[Any]) -> Any:
    """A Java array of this class."""
    gateway = session.sparkContext._gateway
    array = gateway.new_array(reduce(getattr, name.split("."), gateway.jvm), len(values))  # type: ignore[union-attr]
    for i, value in enumerate(values):
        array[i] = value
    return array


# Few rows, many equal rows, no rows


@ADAPTIVE
@pytest.mark.parametrize(("condition", "count"), [("id < 0", 0), ("id = 5", 1), ("id % 2000 = 7", 3)])
def test_no_row_one_row_and_equal_rows_are_answered(
    placed: SparkSession, adaptive: str, condition: str, count: int
) -> None:
    with setting(placed, sql__adaptive__enabled=adaptive):
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


@pytest.mark.parametrize("off", [{"sparkllm__temperature": "0.7"}, {"sparkllm__optimizer__dedup": "false"}])
def test_a_value_that_most_rows_have_is_spread_where_each_row_is_asked(
    placed: SparkSession, off: dict[str, str]
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
    with setting(placed, **off):
        assert len(tasks()) >= 3  # what the other, longer rows leave of eight


# What runs when, and how often


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
    with setting(placed, sql__adaptive__enabled=adaptive):
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
    with setting(placed, sql__adaptive__enabled=adaptive):
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


def test_the_file_of_a_row_is_known_above_a_call(placed: SparkSession) -> None:
    rows = placed.sql(f"SELECT id, input_file_name() AS file, {CALL} FROM t").collect()
    assert {row.id: row.file.rsplit("/", 1)[1] for row in rows} == {i: f"{i % 4}.parquet" for i in range(ROWS)}


def test_rows_sorted_within_their_partitions_stay_so(placed: SparkSession) -> None:
    frame = placed.table("t").repartition(2, "shop").sortWithinPartitions("id").selectExpr("id", CALL)
    parts = frame.rdd.mapPartitions(lambda rows: [[row[0] for row in rows]]).collect()
    assert sum(map(len, parts)) == ROWS
    assert all(ids == sorted(ids) for ids in parts)


# Settings, sessions and threads


def test_settings_may_change_between_planning_and_running(placed: SparkSession) -> None:
    frame = placed.sql("SELECT id, llm('When?', timestamp_seconds(id), review) FROM t")
    assert is_placed(frame)
    with setting(placed, sparkllm__tasks="3", sql__session__timeZone="Asia/Tokyo", sparkllm__temperature="1"):
        assert set(tasks_by_id(frame)) == set(range(ROWS))


def test_a_number_of_tasks_that_is_none_is_refused(placed: SparkSession) -> None:
    with setting(placed, sparkllm__tasks="many"), pytest.raises(Exception, match=r"spark\.sparkllm\.tasks expects"):
        plan(placed.sql(f"SELECT {CALL} FROM t"))


@pytest.mark.parametrize("tasks", ["1", "2", "60"])
def test_any_number_of_tasks_gives_every_row_its_answer(placed: SparkSession, tasks: str) -> None:
    with setting(placed, sparkllm__tasks=tasks):
        frame = placed.sql(f"SELECT id, {CALL} FROM t")
        assert is_placed(frame) == (tasks != "1")
        assert set(tasks_by_id(frame)) == set(range(ROWS))


def test_queries_of_several_threads_and_sessions_do_not_mix(placed: SparkSession) -> None:
    other = register(placed.newSession(), _function=stand_in())
    other.conf.set("spark.sparkllm.tasks", "3")
    placed.table("t").createOrReplaceGlobalTempView("both")

    def run(n: int) -> int:
        session = (placed, other)[n % 2]
        rows = session.sql(f"SELECT id, llm('Is it {n}?', product, review) FROM global_temp.both WHERE id % 4 = {n}")
        return len(set(tasks_by_id(rows)))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [ROWS // 4] * 4
    placed.catalog.dropGlobalTempView("both")


def test_a_query_that_is_cancelled_while_its_rows_are_counted_ends(placed: SparkSession) -> None:
    slow = "string(aggregate(sequence(0L, 300000 + id), 0L, (a, b) -> a + b))"
    failed: list[Exception] = []

    def run() -> None:
        placed.sparkContext.setJobGroup("slow", "to be cancelled", interruptOnCancel=True)
        try:
            placed.sql(f"SELECT llm('Is it good?', review, {slow}) FROM t").collect()
        except Exception as e:
            failed.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    tracker = placed.sparkContext.statusTracker()
    while not tracker.getJobIdsForGroup("slow") and thread.is_alive():
        time.sleep(0.05)
    time.sleep(1)
    placed.sparkContext.cancelJobGroup("slow")
    thread.join(60)
    assert not thread.is_alive()
    assert len(failed) == 1
    assert "cancelled" in str(failed[0]).lower()
    assert not set(tracker.getActiveJobsIds())
    assert len(asked(placed.sql(f"SELECT {CALL} FROM t"))) == ROWS
