"""What one call in one task has to do with the ledger of answers."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from sparkllm.backend.chat import Frame
from sparkllm.backend.engine import EngineInfo, Sampling
from sparkllm.backend.ledger.exchange import Beside
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.backend.task_engine import TaskEngine
from sparkllm.optimizer.encode import Encoded
from sparkllm.udf.answer_keys import answer_keys, question
from sparkllm.udf.task import Task

__all__ = ["KeptAnswers"]


class KeptAnswers:
    """The keys of rows; with a ledger, what it knows, and what it is to keep.

    Without dedup there is no ledger: then each row is to be asked, were it for a benchmark.
    """

    def __init__(self, task: Task, engine: TaskEngine, sampling: Sampling, frame: Frame) -> None:
        fingerprint = engine.info.fingerprint
        self._question = question(task.call, _framed(engine.info, frame), sampling)
        self._engine, self._query = engine, task.query
        self._ledger = LedgerSettings.of(task.config) if fingerprint and task.config.optimizer_dedup else None

    def keys(self, table: Encoded) -> list[bytes]:
        """One for each row; rows with equal ones are one prompt."""
        return answer_keys(self._question, table)

    def recall(self, keys: list[bytes]) -> dict[int, str]:
        """The answers that the ledger knows, by the place of their key."""
        return self._engine.recall(self._ledger, keys, self._query) if self._ledger is not None and keys else {}

    def beside(self, keys: list[bytes], fields: np.ndarray) -> Beside | None:
        """What goes with prompts whose answers are to be kept; None without a ledger.

        Args:
            keys: of the prompts in the order in which they are sent.
            fields: their field orders, int16 [m] for all, or [prompts, m].
        """
        if self._ledger is None:
            return None
        each = fields if fields.ndim == 2 else np.broadcast_to(fields, (len(keys), len(fields)))
        written = [",".join(map(str, order)) for order in each.tolist()]
        return Beside(self._ledger, pa.array(keys, pa.binary()), pa.array(written, pa.string()))


def _framed(info: EngineInfo, frame: Frame) -> str:
    """The model's fingerprint as a call sees it: it covers one frame, and no thoughts that are cut from the value."""
    own = (frame.prefix, frame.suffix, frame.cut) == (info.chat_prefix, info.chat_suffix, "")
    return info.fingerprint if own else json.dumps([info.fingerprint, frame.prefix, frame.suffix, frame.cut])
