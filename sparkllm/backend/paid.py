"""What a query has cost, as the engines of this host have counted it."""

from __future__ import annotations

import contextlib
from collections import Counter

import pyarrow as pa

from sparkllm.backend.client import EngineClient
from sparkllm.backend.folder import root_for
from sparkllm.backend.sweep import engines
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineError

__all__ = ["paid"]


def paid(application: str, query: str, config: LLMConfig) -> dict[str, int] | None:
    """What this host's engines of `application` counted for `query`, attempts of failed tasks included.

    None where no such engine runs any more: what it counted went with it.
    """
    totals: Counter[str] = Counter()
    for folder in engines(root_for(config.runtime_dir)):
        # An engine may end at any moment here; a report must not fail for it.
        with contextlib.suppress(EngineError, OSError, pa.ArrowException):
            if folder.spec.application == application and (state := folder.state()).serving:
                totals.update(EngineClient(folder, state, config.max_in_flight, 0.0).counters(query))
    return dict(totals) or None
