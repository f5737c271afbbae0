"""The core loop, in Spark's Python worker: batches in -> plan -> engine -> batches out, in the order they came.

Two windows are under way at a time: while the engine answers one, the next is planned and queued behind it, so that
the engine never waits for Python.
"""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

import pyarrow as pa
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkllm.backend.client import connect
from sparkllm.backend.cores import usable_cores
from sparkllm.backend.task_engine import TaskEngine
from sparkllm.optimizer.layout import window_rows
from sparkllm.udf.evaluation import COUNTS, RESULT, TEXTS, Evaluation
from sparkllm.udf.iterator_udf import iterator_udf
from sparkllm.udf.prompt_order import prepare
from sparkllm.udf.reader import Reader, ReaderGone
from sparkllm.udf.reduction import Reduction
from sparkllm.udf.task import Task
from sparkllm.udf.windows import windows

__all__ = ["RESULT_TYPE", "ask_engine", "evaluate", "llm_eval"]

RESULT_TYPE = StructType(
    [StructField(name, StringType()) for name in TEXTS] + [StructField(name, IntegerType()) for name in COUNTS]
)
_UNDER_WAY = 2
_BYTES_PER_TOKEN = 3  # rather few: English text has four or five

Batches = Iterator[tuple[pa.Array, ...]]


def evaluate(batches: Batches) -> Iterator[pa.StructArray]:
    """Answer every row of one Spark task.

    Args:
        batches: (the request as JSON, the same in every row; struct<f0: string, f1: string, ...> of the call's fields;
            the query's field order as "2,0,1", the same in every row, where the plan has chosen it).

    Yields:
        struct<value, error, field_order, distinct, ...> arrays; together they hold one entry for each row, in order.

    Raises:
        EngineStartError, EngineDiedError: there is no engine to answer, or it has died too often.
        RowError: a row has no answer, and `spark.sparkllm.failOnError` is true or the call says on_error => 'fail'.
        BudgetError: the query's budget is used up and `spark.sparkllm.onBudget` is `fail`.
        ReaderGone: nobody reads the answers any more; the engine has been told to drop what is under way.
    """
    filled = (batch for batch in batches if len(batch[1]))
    first = next(filled, None)
    if first is None:
        return
    task = Task.from_request(first[0][0].as_py(), first[2][0].as_py() if len(first) > 2 else "")
    rows = (batch[1] for batch in chain([first], filled))
    prepare(task)
    driver = task.terms.address if task.terms is not None else None
    engine = TaskEngine(
        lambda: connect(task.config, task.call.model, task.application, task.gpus, task.query, driver),
        task.config.engine_restarts,
        task.query,
    )
    with engine.hold(task.terms):  # a source that is slow to give the next window must not let the engine look idle
        most = min(task.config.max_window_rows, _rows_that_stay(task, engine, first[1]))
        yield from _answer(windows(rows, min(task.config.window_rows, most), most), task, engine, first[1])


def _rows_that_stay(task: Task, engine: TaskEngine, sample: pa.StructArray) -> int:
    """Rows of the largest window whose data is still in the KV cache when the query's next call asks about them."""
    if not task.call.data_first or not engine.info.cache_tokens:
        return task.config.max_window_rows
    call, most = task.call, task.call.max_tokens or task.config.max_tokens
    row_tokens = sample.nbytes / len(sample) / _BYTES_PER_TOKEN + (0 if call.choices else most)
    # Every task of this host shares the engine, and there are no more of them than cores.
    return max(1, window_rows(engine.info.cache_tokens, usable_cores(), row_tokens))


def _answer(
    planned: Iterator[pa.StructArray], task: Task, engine: TaskEngine, sample: pa.StructArray
) -> Iterator[pa.StructArray]:
    kind = Reduction if task.call.group else Evaluation
    evaluation: Any = kind(task, engine, sample)
    reader = Reader(task.mark)
    under_way: deque[Any] = deque()
    try:
        for window in planned:
            reader.check()
            under_way.append(evaluation.submit(window))
            if len(under_way) == _UNDER_WAY:
                reader.await_engine(under_way[0])
                yield evaluation.restore(under_way.popleft())
        while under_way:
            reader.await_engine(under_way[0])
            yield evaluation.restore(under_way.popleft())
    finally:  # a LIMIT was met, the query was cancelled, or something failed
        for window_left in under_way:
            window_left.cancel()


def ask_engine(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
    """`evaluate` in a worker of Spark's: answers go out at once, and a reader that has gone ends the process."""
    try:
        for answers in evaluate(batches):
            yield answers.cast(RESULT)
            # Python holds the last bytes back until more are written: this pushes them out to the JVM.
            yield pa.array([], type=RESULT)
        _keep_what_is_there()
    except ReaderGone:
        # Spark has closed the socket and starts another worker for its next task; to return would mean to write to that
        # socket, and to fail with a traceback on the user's screen.
        os._exit(0)


@cache
def _keep_what_is_there() -> None:
    """Spark searches for cyclic garbage behind every task: 30 to 60 ms in all that is imported here, to find none.

    What is there behind a process's first task is searched no more.
    """
    gc.collect()
    gc.freeze()


llm_eval = iterator_udf(ask_engine, RESULT_TYPE)
