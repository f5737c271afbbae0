"""Real processes that are killed or stopped in the middle of a task: the engine is started again, nothing is lost.

The engine has no model (`stand_in`); tests/test_faults.py does the same to vLLM's.
"""

from __future__ import annotations

import signal
import time
from functools import partial
from pathlib import Path

import pytest

from sparkllm.backend.client import connect, stop
from sparkllm.backend.engine import Sampling
from sparkllm.backend.task_engine import TaskEngine
from sparkllm.config import LLMConfig
from tests.engine_faults import strike

from .conftest import prompts
from .stand_in import start_stand_ins

ROWS = 120
MOST = 20
HANG_SECONDS = 2.0

FAULTS = {
    "engine core killed": ("engine core", signal.SIGKILL, "vLLM's engine process ended"),
    "server killed": ("server", signal.SIGKILL, "its server was killed by signal 9"),
    "watchdog killed": ("watchdog", signal.SIGKILL, "its processes are gone"),
    "engine core hangs": ("engine core", signal.SIGSTOP, "it hung: no step for 2 s"),
    "server hangs": ("server", signal.SIGSTOP, "it hung: no step for 2 s"),
}
# The others take as long, and differ little.
ALWAYS = ("engine core hangs",)


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[] if name in ALWAYS else pytest.mark.long) for name in FAULTS]
)
def test_the_engine_is_started_again_and_only_the_rest_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    part, how, reason = FAULTS[fault]
    start_stand_ins(monkeypatch)
    tmp_path.chmod(0o700)
    config = LLMConfig(runtime_dir=str(tmp_path), hang_seconds=HANG_SECONDS, max_in_flight=MOST)
    engine = TaskEngine(partial(connect, config, None, "tests-restart"), restarts=3, query="7")
    try:
        first = connect(config, None, "tests-restart")
        began, struck = time.monotonic(), strike(first, part, ROWS // 3, how)
        answers = engine.submit(prompts([[i, 1] for i in range(ROWS)]), Sampling(), "7").result()
        seconds = time.monotonic() - began
        assert answers.column("text").to_pylist() == [str(i + 1) for i in range(ROWS)]
        twice = sum(answers.column("asked").to_pylist()) - ROWS
        print(
            f"{fault}: next ready after {struck().recovered_seconds} s, all after {seconds:.1f} s, {twice} asked twice"
        )
        assert 0 < twice <= MOST
        told = first._folder.events.read_text()
        assert "restart 1 of 3, because " + reason in told
        assert "query=7" in told
        assert len(first._folder.logs()) == 2, "that of the engine that died is kept"
    finally:
        stop(config=config)
