"""Rows under way, and what their prompts come to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sparkllm.backend.client import Submission
from sparkllm.udf.prefix_counts import PrefixCounts

__all__ = ["Answer", "Window"]


@dataclass(slots=True)
class Answer:
    """What one distinct prompt came to; `kept`: the ledger knew, or an equal prompt of another task was under way."""

    value: str | None = None
    error: str | None = None
    detail: str = ""
    kept: bool = False


@dataclass
class Window:
    """Rows under way.

    Attributes:
        rows: number of rows.
        owner: for each row the index of its answer, -1 where all fields are null.
        first: for each answer the first row that asked.
        answers: one for each distinct prompt of the window.
        fresh: indices of the answers whose prompts are new to the task and to the ledger.
        sent: indices of those the engine gets, in the order they are sent.
        kept: indices of the answers that the ledger knew.
        prefixes: what is expected of the KV cache for those.
        remembered: keys of the answers that are kept for later windows.
    """

    rows: int
    owner: np.ndarray
    first: np.ndarray
    answers: list[Answer]
    fresh: np.ndarray
    sent: np.ndarray
    kept: np.ndarray
    prefixes: PrefixCounts | None = None
    submission: Submission | None = None
    remembered: list[bytes] = field(default_factory=list)

    def wait(self, seconds: float) -> bool:
        """Whether `Evaluation.restore` returns at once, after at most `seconds`."""
        return self.submission is None or self.submission.wait(seconds)

    def cancel(self) -> None:
        """Let the engine drop what it has not answered yet."""
        if self.submission is not None:
            self.submission.cancel()
