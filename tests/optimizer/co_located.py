"""Co-location: a stand-in that tells where and how it was asked, and a session with a table that is worth placing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from sparkllm.spark_session import register
from sparkllm.udf.iterator_udf import iterator_udf
from tests.optimizer.noise import noise
from tests.optimizer.queries import plan

__all__ = [
    "ADAPTIVE", "CALL", "ROWS", "TASKS", "asked", "is_placed", "placed_session", "reviews", "stand_in", "tasks_by_id",
]  # fmt: skip

ROWS, TASKS = 6000, 8
CALL = "llm('Is it good?', product, shop, review)"
ADAPTIVE = pytest.mark.parametrize("adaptive", ["true", "false"])


def stand_in() -> Any:
    """An `__llm_eval` that tells, as JSON, the task, the field order and the fields of each row."""

    def answer(order: str, fields: list[str | None]) -> str:
        from pyspark import TaskContext

        context = TaskContext.get()
        return json.dumps([context.partitionId() if context else -1, order, fields])

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        for batch in batches:
            orders = batch[2].to_pylist() if len(batch) > 2 else [""] * len(batch[1])
            values = [
                answer(order, list(row.values())) for order, row in zip(orders, batch[1].to_pylist(), strict=True)
            ]
            yield pa.StructArray.from_arrays(
                [pa.array(values, pa.string()), pa.nulls(len(values), pa.string())], names=["value", "error"]
            )

    return iterator_udf(llm_eval, StructType([StructField("value", StringType()), StructField("error", StringType())]))


def reviews(length: Callable[[int], int]) -> pd.DataFrame:
    """6,000 rows, 2,000 of them different, with so many bytes of noise in each review."""
    distinct = pd.DataFrame(
        {
            "product": [f"product {i % 40}: {noise(i % 40, 500)}" for i in range(2000)],
            "shop": [f"shop {i % 3}" if i % 7 else None for i in range(2000)],
            "review": [f"review {i} {noise(i, length(i))}" for i in range(2000)],
        }
    )
    return pd.concat([distinct] * 3)


def placed_session(spark: SparkSession, rows: pd.DataFrame, folder: Path) -> SparkSession:
    """A session with these rows, numbered, in a table `t` of four files."""
    session = register(spark.newSession(), tasks=TASKS, _function=stand_in())
    rows.insert(0, "id", range(len(rows)))
    for part in range(4):
        rows.iloc[part::4].to_parquet(folder / f"{part}.parquet", index=False)
    session.read.parquet(str(folder)).createOrReplaceTempView("t")
    session.udf.register("once", lambda text: text, "string")
    return session


def asked(frame: DataFrame) -> list[tuple[int, str, tuple[str | None, ...]]]:
    """(task, field order, fields) of every row; the answer is the last column."""
    parsed = [json.loads(row[-1]) for row in frame.collect()]
    return [(task, order, tuple(fields)) for task, order, fields in parsed]


def is_placed(frame: DataFrame) -> bool:
    return "KeyedRows" in plan(frame)


def tasks_by_id(frame: DataFrame) -> dict[int, int]:
    """Task of every row; the columns are its id and the answer."""
    return {row[0]: json.loads(row[1])[0] for row in frame.collect()}
