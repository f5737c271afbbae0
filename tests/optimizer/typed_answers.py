"""A stand-in for the engine's answers that keeps to their form: one of the labels, JSON, or a text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkllm.spark_session import register
from sparkllm.udf.iterator_udf import iterator_udf

__all__ = ["typed_session", "typed_stand_in"]

_TEXTS = ("value", "error", "detail")
_COUNTS = ("distinct", "requests")


def typed_stand_in() -> Any:
    """An `__llm_eval` that answers by the last field of a row, and cuts the answer where that is 'cut'.

    'good' is the first label (true), anything else the last; STRINGs of a typed answer are the field in capitals, all
    else its length. Errors are told as the real one does. Nested, so that Spark sends it to the workers by value.
    """
    returned = StructType(
        [StructField(n, StringType()) for n in _TEXTS] + [StructField(n, IntegerType()) for n in _COUNTS]
    )
    texts, counts = _TEXTS, _COUNTS

    def answer(request: str, row: dict[str, str | None]) -> dict[str, Any]:
        from sparkllm.calls import LLMCall

        call = LLMCall.from_json(json.dumps(json.loads(request)["call"]))
        fields = [text for text in row.values() if text is not None]
        nothing = dict.fromkeys(counts, 0)
        if call.fields and not fields:
            return {"error": "null_fields", "detail": "all fields are NULL", **nothing}
        text = fields[-1] if fields else "constant"
        if text == "cut":
            if call.on_error == "fail":
                raise ValueError("the answer was cut; on_error => 'null' for NULL instead")
            return {"error": "truncated", "detail": "the answer was cut after 3 tokens", **dict.fromkeys(counts, 1)}
        value = text.upper()
        if call.choices:
            value = call.choices[0 if text == "good" else -1]
        elif call.schema:
            columns = json.loads(call.schema)["fields"]
            value = json.dumps({c["name"]: value if c["type"] == "string" else len(value) for c in columns})
        return {"value": value, **dict.fromkeys(counts, 1)}

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        kind = pa.struct([*((n, pa.string()) for n in texts), *((n, pa.int32()) for n in counts)])
        for requests, rows, *_ in batches:
            pairs = zip(requests.to_pylist(), rows.to_pylist(), strict=True)
            yield pa.array([answer(request, row) for request, row in pairs], type=kind)

    return iterator_udf(llm_eval, returned)


def typed_session(spark: SparkSession) -> SparkSession:
    """A session with a table of six rows: a NULL, two that are equal, and one whose answer is cut."""
    session = register(spark.newSession(), optimizer_learn_selectivity=False, _function=typed_stand_in())
    session.sql("""CREATE TEMP VIEW t AS SELECT * FROM VALUES (0, 'good', 'a'), (1, 'bad', 'b'), (2, NULL, 'a'),
                   (3, 'good', 'b'), (4, 'cut', NULL), (5, NULL, NULL) AS t(id, review, title)""")
    return session
