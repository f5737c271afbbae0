"""Real tasks, engine servers and ledgers around an engine without a model: every prompt's answer is `positive`.

`python -m tests.counting_engine watchdog FOLDER`, which starts `... server FOLDER`, as tests/backend/stand_in.py does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from sparkllm.backend import server, watchdog
from sparkllm.backend.engine import Answer, EngineSpec
from tests.backend.fake import FakeEngine
from tests.backend.stand_in import instead

__all__ = ["counting"]

ANSWER = "positive"


class CountingEngine(FakeEngine):
    """One with the demo model's tokenizer."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__()
        tokenizer = Path(spec.model, "tokenizer.json").read_text(encoding="utf-8")
        self.info = replace(self.info, max_model_len=2048, tokenizer_json=tokenizer)

    async def _answer(self, token_ids: list[int]) -> Answer:
        return Answer(ANSWER, None, len(token_ids), 0, 1)


async def _engine(spec: EngineSpec, folder: Path) -> CountingEngine:
    return CountingEngine(spec)


def counting() -> Any:
    """An `__llm_eval` whose tasks start and ask such engines."""
    from sparkllm.udf.arrow import RESULT_TYPE
    from sparkllm.udf.iterator_udf import iterator_udf

    # Nested, so that Spark sends it to the workers by value.
    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        from sparkllm.backend import launch
        from sparkllm.udf.arrow import ask_engine
        from tests.backend.stand_in import instead

        check, popen = launch._check_vllm, launch.subprocess.Popen
        launch._check_vllm = lambda: None
        launch.subprocess.Popen = instead("watchdog", "tests.counting_engine")  # type: ignore[misc]
        try:
            yield from ask_engine(batches)
        finally:
            launch._check_vllm, launch.subprocess.Popen = check, popen  # type: ignore[misc]

    return iterator_udf(llm_eval, RESULT_TYPE)


if __name__ == "__main__":
    if sys.argv[1] == "watchdog":
        watchdog.subprocess.Popen = instead("server", "tests.counting_engine")  # type: ignore[misc]
        watchdog.main(sys.argv[1:])
    else:
        server._engine = _engine  # type: ignore[assignment]
        server.main(sys.argv[1:])
