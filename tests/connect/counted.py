"""A stand-in for the engine that writes down what it is asked: the first field of each row in capitals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkllm.udf.iterator_udf import iterator_udf
from tests.optimizer.capitals import COUNTS, Answer, answers

__all__ = ["Counted"]


class Counted:
    """The function, and what it was asked since the last look."""

    def __init__(self, file: Path, answer: Answer | None = None) -> None:
        """`answer`: of a request and a row's fields, {"value": ...}; else the first field in capitals."""
        self._file, self._answer = file, answer or answers()
        self.clear()

    def clear(self) -> None:
        self._file.write_text("", encoding="utf-8")

    def asked(self) -> list[tuple[dict[str, Any], list[str | None]]]:
        """(the call, the row's fields), for each row that was not all NULL."""
        lines = self._file.read_text(encoding="utf-8").splitlines()
        return [(call, fields) for call, fields in map(json.loads, lines)]

    def function(self) -> Any:
        """As a UDF that is not deterministic, by value: the workers know nothing of tests."""
        kind = pa.struct([(n, pa.string()) for n in ("value", "error", "detail")] + [(n, pa.int32()) for n in COUNTS])
        texts = [StructField(n, StringType()) for n in ("value", "error", "detail")]
        returned = StructType(texts + [StructField(n, IntegerType()) for n in COUNTS])
        answer, path = self._answer, str(self._file)

        def llm_ask(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
            for requests, rows, *_ in batches:
                told = []
                for request, row in zip(requests.to_pylist(), rows.to_pylist(), strict=True):
                    call, fields = json.loads(request)["call"], list(row.values())
                    told.append(answer(request, fields))
                    if not call["fields"] or any(field is not None for field in fields):
                        with open(path, "a", encoding="utf-8") as file:
                            file.write(json.dumps([call, fields]) + "\n")
                yield pa.array(told, type=kind)

        return iterator_udf(llm_ask, returned).asNondeterministic()
