"""How a real engine ends: its server killed, its executor killed, idle. Nothing of it may be left. Two starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from sparkllm.backend import lease
from sparkllm.backend.client import EngineClient
from sparkllm.backend.engine import Sampling
from sparkllm.backend.processes import ProcessRef
from sparkllm.errors import EngineDiedError

from .conftest import gone_after, leader, members_of, prompts, server_of

ONE = prompts([[5, 6, 7]])


def test_a_killed_server_is_one_clear_error_and_nothing_is_left(start: Callable[[], EngineClient]) -> None:
    engine = start()
    members = members_of(engine)
    submission = engine.submit(prompts([[5, 6, i] for i in range(100)]), Sampling(max_tokens=900, min_tokens=900))
    os.kill(server_of(engine).pid, signal.SIGKILL)
    with pytest.raises(EngineDiedError, match=r"server was killed by signal 9.*Run the query again.*Log: /"):
        submission.result()
    print(f"server killed: all gone after {gone_after(members):.1f} s")


def test_the_next_query_starts_a_fresh_engine_that_ends_with_its_executor(
    start: Callable[[], EngineClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(lease, "holder", lambda: ProcessRef.of(executor.pid))
    try:
        engine = start()
        # The leases of this process, taken by the test before, would keep it.
        for path in engine._folder.leases.glob(f"{os.getpid()}-*"):
            path.unlink()
        assert engine.started_seconds > 0
        assert engine.submit(ONE, Sampling(max_tokens=1)).result().column("error").to_pylist() == [None]
        members = members_of(engine)
    finally:
        executor.kill()
        executor.wait()
    print(f"executor killed: all gone after {gone_after(members):.1f} s")
    assert not leader(engine).alive
    assert engine._folder.state().phase == "ended"
    with pytest.raises(EngineDiedError):
        engine.submit(ONE, Sampling(max_tokens=1)).result()
