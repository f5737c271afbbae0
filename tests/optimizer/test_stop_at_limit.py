"""LIMIT over an LLM predicate: how many rows the engine is asked for.

Spark and the core loop are the real ones; the engine answers `yes` to one prompt in ten, at once or never.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sparkllm.spark_session import register
from sparkllm.udf.iterator_udf import iterator_udf

ROWS = 20_000
Counted = tuple[list[Any], int]


def asking(folder: Path, never: int = 0) -> Any:
    """An `__llm_eval` whose engine keeps in `folder` what it is asked, and answers no window from the `never`th on."""
    from sparkllm.udf.arrow import RESULT_TYPE

    engine = engine_class(submission_class(folder, never))

    def llm_eval(batches: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        from sparkllm.udf import arrow

        real, arrow.connect = arrow.connect, lambda *_: engine()
        try:
            yield from arrow.ask_engine(batches)
        finally:
            arrow.connect = real

    return iterator_udf(llm_eval, RESULT_TYPE)


# Classes that are made inside a function travel to the workers by value.


def submission_class(folder: Path, never: int) -> Any:
    """Requests under way: `yes` to one prompt in ten."""

    class Submission:
        def __init__(self, ids: pa.ListArray) -> None:
            self.ids = ids.to_pylist()
            number = len(list(folder.iterdir()))
            self.stuck = 0 < never <= number + 1
            (folder / f"{number}-{len(self.ids)}").touch()

        def wait(self, seconds: float) -> bool:
            if self.stuck:
                time.sleep(seconds)
            return not self.stuck

        def cancel(self) -> None:
            (folder / f"cancelled-{len(self.ids)}").touch()

        def result(self) -> pa.RecordBatch:
            texts = ["yes" if sum(ids) % 10 == 0 else "no" for ids in self.ids]
            counts = pa.array([1] * len(texts), type=pa.int32())
            columns = [pa.array(texts), pa.nulls(len(texts), pa.string()), counts, counts, counts]
            columns += [pa.array([False] * len(texts))] * 2 + [counts] + [pa.array([False] * len(texts))] * 2
            names = ["text", "error", "prompt_tokens", "cached_tokens", "output_tokens", "truncated", "kept"]
            return pa.RecordBatch.from_arrays(columns, names=[*names, "asked", "killed", "over_budget"])

    return Submission


def engine_class(submission: Any) -> Any:
    """An engine with the demo model's tokenizer, whose answers are `submission`'s."""

    class Engine:
        def __init__(self) -> None:
            from importlib import resources
            from types import SimpleNamespace

            model = resources.files("sparkllm").joinpath("demo", "model", "tokenizer.json")
            text = model.read_text(encoding="utf-8")
            self.info = SimpleNamespace(
                tokenizer_json=text, chat_prefix="", chat_suffix="", max_model_len=2048, block_size=16, fingerprint=""
            )

        def faults(self) -> tuple[int, bool]:
            return 0, False

        def frame(self, chat: object) -> Any:
            from sparkllm.backend.chat import Frame

            return Frame("", "")

        def agree(self, key: str, proposal: str) -> str:
            return proposal

        def hold(self, terms: object) -> Any:
            from contextlib import nullcontext

            return nullcontext()

        def take_started_seconds(self) -> float:
            return 0.0

        def submit(
            self, ids: pa.ListArray, sampling: object, query: str, beside: object, terms: object, restart: object
        ) -> Any:
            return submission(ids)

    return Engine


@pytest.fixture
def asked(spark: SparkSession, tmp_path: Path) -> Callable[..., Counted]:
    """Run a query in a session of its own: its rows, and the rows the engine was asked for."""

    def run(sql: str, never: int = 0, tasks: int = 1, **settings: object) -> Counted:
        session = register(spark.newSession(), _function=asking(tmp_path, never))
        for key, value in settings.items():
            session.conf.set(f"spark.sparkllm.{key.replace('_', '.')}", str(value).lower())
        session.range(0, ROWS, 1, tasks).selectExpr("id", "concat('row ', id) AS text").createOrReplaceTempView("t")
        rows = session.sql(sql).collect()
        windows = [path.name.split("-") for path in tmp_path.iterdir()]
        return rows, sum(int(size) for number, size in windows if number != "cancelled")

    return run


LIMIT = "SELECT id FROM t WHERE llm('Is it good?', text) = 'yes' LIMIT 3"


def test_a_limit_over_a_predicate_asks_for_little_more_than_it_needs(asked: Callable[..., Counted]) -> None:
    rows, count = asked(LIMIT)
    needed = max(row.id for row in rows) + 1
    print(f"needed {needed}, asked {count}")
    assert len(rows) == 3
    assert needed <= count <= 2 * needed + 16
