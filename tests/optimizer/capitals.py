"""A stand-in for the engine that answers each row with its first field in capitals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkllm.udf.iterator_udf import iterator_udf

__all__ = ["COUNTS", "stand_in"]

COUNTS = ("distinct", "requests", "prompt_tokens", "cached_tokens", "output_tokens", "start_ms")


def stand_in(echo: str = "") -> Any:
    """An `__llm_eval`: the first field in capitals, all `fields` as a JSON array, or the whole `request`.

    A typed answer holds those capitals in its STRINGs and their number in all else.
    Its functions are nested so that Spark sends them to the workers by value.
    """
    texts = [StructField(n, StringType()) for n in ("value", "error")]
    counts = {"distinct": 1, "requests": 1, "prompt_tokens": 10, "cached_tokens": 4, "output_tokens": 1}
    returned = StructType(texts + [StructField(n, IntegerType()) for n in COUNTS])

    def answer(request: str, fields: list[str | None]) -> dict[str, Any]:
        call = json.loads(request)["call"]
        if call["fields"] and all(f is None for f in fields):
            return {"value": None, "error": "null_fields"}
        value = {"fields": json.dumps(fields), "request": request}.get(echo, (fields[0] or "constant").upper())
        if call["schema"]:
            columns = json.loads(call["schema"])["fields"]
            value = json.dumps({c["name"]: value if c["type"] == "string" else len(value) for c in columns})
        return {"value": value, **counts}

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        kind = pa.struct([("value", pa.string()), ("error", pa.string()), *((n, pa.int32()) for n in COUNTS)])
        for requests, rows, *_ in batches:
            pairs = zip(requests.to_pylist(), rows.to_pylist(), strict=True)
            yield pa.array([answer(request, list(row.values())) for request, row in pairs], type=kind)

    return iterator_udf(llm_eval, returned)
