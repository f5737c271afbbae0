"""A stand-in for the engine's answers: the first field of each row in capitals; and a session with small tables."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkllm.spark_session import register
from sparkllm.udf.arrow import RESULT_TYPE
from sparkllm.udf.iterator_udf import iterator_udf

__all__ = ["COUNTS", "in_place_of_the_engines", "small_tables", "stand_in"]

COUNTS = ("distinct", "requests", "prompt_tokens", "cached_tokens", "output_tokens", "start_ms")


Answer = Callable[[str, list[str | None]], dict[str, Any]]


def small_tables(spark: SparkSession, function: Any) -> SparkSession:
    """A session whose calls are evaluated by this function. What earlier queries kept is left out."""
    session = register(spark.newSession(), optimizer_learn_selectivity=False, _function=function)
    session.sql("""CREATE TEMP VIEW t AS SELECT int(id) AS id, array('good', 'bad', 'ok', 'meh')[id % 4] AS review,
                   array('a', 'b')[id % 2] AS title FROM range(0, 12, 1, 2)""")
    session.sql("CREATE TEMP VIEW s AS SELECT *, named_struct('c', review, 'd', id) AS b FROM t")
    session.sql("CREATE TEMP VIEW u AS SELECT id AS uid, title AS utitle FROM t WHERE id < 3")
    session.sql("CREATE TEMP VIEW k AS SELECT * FROM VALUES (0, 'a'), (1, 'b'), (2, 'a') AS k(uid, utitle)")
    session.udf.register("exclaim", lambda text: text + "!", "string")
    session.readStream.format("rate").load().createOrReplaceTempView("stream")
    return session


def answers(echo: str = "") -> Answer:
    """The first field in capitals, all `fields` as a JSON array, or the whole `request`.

    A typed answer holds those capitals in its STRINGs and their number in all else. This function and those below are
    nested so that Spark sends them to the workers by value.
    """

    def answer(request: str, fields: list[str | None]) -> dict[str, Any]:
        call = json.loads(request)["call"]
        if call["fields"] and all(f is None for f in fields):
            return {"value": None, "error": "null_fields"}
        value = {"fields": json.dumps(fields), "request": request}.get(echo, (fields[0] or "constant").upper())
        if call["schema"]:
            columns = json.loads(call["schema"])["fields"]
            value = json.dumps({c["name"]: value if c["type"] == "string" else len(value) for c in columns})
        return {"value": value}

    return answer


def stand_in(echo: str = "", start_ms: int = 0) -> Any:
    """An `__llm_eval` that needs no engine; each row tells of an engine's start of so many milliseconds."""
    texts = [StructField(n, StringType()) for n in ("value", "error")]
    counts = {"distinct": 1, "requests": 1, "prompt_tokens": 10, "cached_tokens": 4, "output_tokens": 1}
    counts["start_ms"] = start_ms
    returned = StructType(texts + [StructField(n, IntegerType()) for n in COUNTS])
    answer = answers(echo)

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        kind = pa.struct([("value", pa.string()), ("error", pa.string()), *((n, pa.int32()) for n in COUNTS)])
        for requests, rows, *_ in batches:
            pairs = zip(requests.to_pylist(), rows.to_pylist(), strict=True)
            told = [answer(request, list(row.values())) for request, row in pairs]
            yield pa.array([one if "error" in one else one | counts for one in told], type=kind)

    return iterator_udf(llm_eval, returned)


def in_place_of_the_engines() -> Any:
    """An `__llm_eval` that sends its requests to the engine, counts them as ever, and returns these answers instead."""
    answer = answers()

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        from sparkllm.udf.arrow import ask_engine

        waiting: deque[str | None] = deque()

        def noted() -> Iterator[tuple[pa.Array, ...]]:
            for requests, rows, *more in batches:
                pairs = zip(requests.to_pylist(), rows.to_pylist(), strict=True)
                waiting.extend(answer(request, list(row.values()))["value"] for request, row in pairs)
                yield requests, rows, *more

        for found in ask_engine(noted()):
            values = pa.array([waiting.popleft() for _ in found], pa.string())
            yield pa.StructArray.from_arrays([values, *found.flatten()[1:]], fields=list(found.type))

    return iterator_udf(llm_eval, RESULT_TYPE)
