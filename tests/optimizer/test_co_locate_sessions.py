"""Co-location while settings, sessions and threads change, and when its query is cancelled."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql import SparkSession

from sparkllm.spark_session import register
from tests.optimizer.co_located import CALL, ROWS, asked, is_placed, stand_in, tasks_by_id
from tests.optimizer.queries import plan
from tests.settings import configured


def test_settings_may_change_between_planning_and_running(placed: SparkSession) -> None:
    frame = placed.sql("SELECT id, llm('When?', timestamp_seconds(id), review) FROM t")
    assert is_placed(frame)
    settings = {"sparkllm.tasks": "3", "sql.session.timeZone": "Asia/Tokyo", "sparkllm.temperature": "1"}
    with configured(placed, {f"spark.{key}": value for key, value in settings.items()}):
        assert set(tasks_by_id(frame)) == set(range(ROWS))


def test_a_number_of_tasks_that_is_none_is_refused(placed: SparkSession) -> None:
    settings = {"spark.sparkllm.tasks": "many"}
    with configured(placed, settings), pytest.raises(Exception, match=r"spark\.sparkllm\.tasks expects"):
        plan(placed.sql(f"SELECT {CALL} FROM t"))


@pytest.mark.parametrize("tasks", ["1", "2", "60"])
def test_any_number_of_tasks_gives_every_row_its_answer(placed: SparkSession, tasks: str) -> None:
    with configured(placed, {"spark.sparkllm.tasks": tasks}):
        frame = placed.sql(f"SELECT id, {CALL} FROM t")
        assert is_placed(frame) == (tasks != "1")
        assert set(tasks_by_id(frame)) == set(range(ROWS))


def test_queries_of_several_threads_and_sessions_do_not_mix(placed: SparkSession) -> None:
    other = register(placed.newSession(), tasks=3, _function=stand_in())
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
