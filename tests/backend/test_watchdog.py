"""A watchdog and a server that come late: their launch is over, or their parent is gone. No model, no vLLM."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.folder import EngineFolder
from sparkllm.backend.processes import ProcessRef
from sparkllm.backend.state import EngineState

ME = ProcessRef.of(os.getpid())
SPEC = EngineSpec(application="a", model="m", fingerprint="", devices="cpu", engine="dry-run")


@pytest.mark.parametrize(
    "state",
    [
        EngineState().to("starting", launch="2"),
        EngineState().to("ready", launch="2", watchdog=ME, server=ME),
        EngineState().to("failed", launch="1", error="not ready after 600 s"),
        EngineState().to("stopping", launch="1", error="asked"),
    ],
    ids=["another starts", "another runs", "it failed", "it was ended"],
)
def test_a_watchdog_whose_launch_is_over_starts_nothing(tmp_path: Path, state: EngineState) -> None:
    tmp_path.chmod(0o700)
    folder = EngineFolder.of(tmp_path, SPEC)
    folder.write_state(state)
    folder.heartbeat.touch()
    command = [sys.executable, "-m", "sparkllm.backend.watchdog", str(folder.path), "1"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    assert folder.state() == state, "what is written there is another's"
    assert folder.heartbeat.exists()
    assert "launch 1 came too late" in folder.events.read_text(encoding="utf-8")


def test_a_server_whose_watchdog_died_before_it_came_ends(tmp_path: Path) -> None:
    """Its parent is another process by then, which it must not take for the watchdog."""
    tmp_path.chmod(0o700)
    folder = EngineFolder.of(tmp_path, SPEC)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not psutil.pid_exists(gone.pid)
    command = [sys.executable, "-m", "sparkllm.backend.server", str(folder.path), str(gone.pid)]
    assert subprocess.run(command, check=False, timeout=60, start_new_session=True).returncode == -9
