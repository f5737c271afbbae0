"""Prompts of a sample that are asked to take the time, each once at most."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pyspark.sql import SparkSession

from sparkllm.ask_rows import ask_rows
from sparkllm.config import PREFIX
from sparkllm.planned_query import PlannedCall
from sparkllm.prompt_sample import PromptSample
from sparkllm.udf.task import order_text

__all__ = ["Part", "TimedPrompts"]

_NO_LEDGER = {f"{PREFIX}ledger": "off", f"{PREFIX}ledgerSharedPath": ""}


@dataclass(frozen=True)
class Part:
    """Prompts that were asked together.

    Attributes:
        prompts: requests.
        computed_tokens: prompt tokens that were not in the KV cache.
        output_tokens: of the answers.
        seconds: from the first prompt to the last answer.
        apart: seconds of the Spark query beside it.
    """

    prompts: int
    computed_tokens: int
    output_tokens: int
    seconds: float
    apart: float = 0.0


class TimedPrompts:
    """Parts of a sample.

    Args:
        spark: the session.
        conf: `spark.sparkllm.*` entries that hold for it.
        planned: the call.
        sample: its prompts.
        most: prompts that may be asked; None: all.
    """

    def __init__(
        self,
        spark: SparkSession,
        conf: Mapping[str, str],
        planned: PlannedCall,
        sample: PromptSample,
        most: int | None = None,
    ) -> None:
        self._spark, self._conf, self._call, self._texts = spark, dict(conf), planned.call, sample.texts
        self._order = "" if sample.order.per_row else order_text(sample.order.fields, sample.call.data_first)
        self._open = np.ones(len(self._texts), dtype=bool)
        self._most = len(self._texts) if most is None else most

    @property
    def left(self) -> int:
        """Prompts that may still be asked."""
        return max(0, min(int(self._open.sum()), self._most - int((~self._open).sum())))

    def pair(self, size: int) -> list[Part]:
        """Neighbours, then as many from all over."""
        return [self.part(self.neighbours(size)), self.part(self.scattered(size))]

    def neighbours(self, size: int) -> np.ndarray:
        """Places in the order of prompts: from the middle of those that were not asked yet."""
        left = np.flatnonzero(self._open)
        begin = max(0, (len(left) - size) // 2)
        return left[begin : begin + size]

    def scattered(self, size: int) -> np.ndarray:
        """Places, evenly over those that were not asked yet."""
        left = np.flatnonzero(self._open)
        return left[np.unique(np.linspace(0, len(left) - 1, size).astype(int))] if len(left) else left

    def part(self, places: np.ndarray) -> Part:
        """Ask these. Those that the ledger had take no time: they are asked without it, and the larger part counts."""
        if not len(places):
            return Part(0, 0, 0, 0.0)
        self._open[places] = False
        fresh, kept = self._asked(places, self._conf)
        again = self._asked(kept, self._conf | _NO_LEDGER)[0] if len(kept) > fresh.prompts else fresh
        return max(fresh, again, key=lambda part: part.prompts)

    def _asked(self, places: np.ndarray, conf: Mapping[str, str]) -> tuple[Part, np.ndarray]:
        """What it took, and those of the places whose answer was in the ledger."""
        began = time.perf_counter()
        answers = ask_rows(self._spark, conf, self._call, [self._texts[i] for i in places], self._order)
        wall = time.perf_counter() - began

        def total(name: str) -> int:
            return sum(getattr(answer, name) or 0 for answer in answers)

        busy, start = total("busy_ms") / 1000, total("start_ms") / 1000
        computed = total("prompt_tokens") - total("cached_tokens")
        part = Part(total("requests"), computed, total("output_tokens"), busy, max(0.0, wall - busy - start))
        return part, places[np.array([bool(answer.ledger_rows) for answer in answers])]
