"""A Python worker of Spark's that notes what the tasks of LLMEval spend their time on (see timed_daemon.py).

Time counts for the innermost part under way; what is in none is spent with Spark: reading rows, writing answers, and
waiting for either. A task's sums go to a file of their own in the folder that the environment names.
"""

from __future__ import annotations

import functools
import json
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark import TaskContext, worker

from bench.llmsql.where_time_goes import FOLDER
from sparkllm.backend.task_engine import TaskEngine
from sparkllm.udf import arrow
from sparkllm.udf.evaluation import Evaluation
from sparkllm.udf.prefix_counts import PrefixCounter
from sparkllm.udf.prompt_order import PromptOrder
from sparkllm.udf.reader import Reader
from sparkllm.udf.token_pieces import TokenPieces

__all__ = ["install"]

SPARK = "rows and Arrow"
PARTS: dict[str, list[tuple[Any, str]]] = {
    "task start": [(arrow, "connect"), (TaskEngine, "__init__"), (Evaluation, "__init__")],
    "dedup and keys": [(Evaluation, "submit")],
    "ordering": [(PromptOrder, "__init__"), (PromptOrder, "of")],
    "tokenising": [(TokenPieces, "__init__"), (TokenPieces, "prompts"), (TokenPieces, "_take")],
    "counting hits": [(PrefixCounter, "add")],
    "handing over": [(TaskEngine, "submit")],
    "engine": [(Reader, "await_engine")],
    "laying out": [(Evaluation, "restore")],
}


class _Times:
    """Seconds of each part in this task."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.stage: int | None = None  # known once a part has begun; at the end of the task Spark has forgotten it
        self._under_way, self._since = [SPARK], time.perf_counter()

    def begin(self, part: str) -> None:
        self._book()
        if self.stage is None and (context := TaskContext.get()) is not None:
            self.stage = context.stageId()
        self._under_way.append(part)

    def end(self) -> None:
        self._book()
        self._under_way.pop()

    def _book(self) -> None:
        now = time.perf_counter()
        self.seconds[self._under_way[-1]] += now - self._since
        self._since = now


_times = _Times()
_main = worker.main


def install() -> None:
    """From here on tasks of this process are timed."""
    if worker.main is _main:
        worker.main = _timed_main
        for part, places in PARTS.items():
            for owner, name in places:
                setattr(owner, name, _timed(part, getattr(owner, name)))


def _timed_main(infile: Any, outfile: Any) -> None:
    global _times
    _times = _Times()
    try:
        _main(infile, outfile)
    finally:
        _times.end()
        if _times.stage is not None:
            told = {"stage": _times.stage, "seconds": _times.seconds}
            Path(os.environ[FOLDER], f"{uuid.uuid4().hex}.json").write_text(json.dumps(told), encoding="utf-8")


def _timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        _times.begin(part)
        try:
            return function(*args, **named)
        finally:
            _times.end()

    return call
