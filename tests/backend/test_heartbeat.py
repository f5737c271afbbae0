"""The engine's sign of life, and its log of events."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from sparkllm.backend import events
from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.events import note
from sparkllm.backend.folder import EngineFolder
from sparkllm.backend.heartbeat import Silence, beat
from sparkllm.config import LLMConfig

from .fake import FakeEngine

HANG = 0.2


def touches(path: Path, engine: FakeEngine, busy: bool) -> int:
    async def run() -> int:
        beating = asyncio.ensure_future(beat(path, lambda: busy, engine.ping, HANG))
        seen = set()
        for _ in range(50):
            await asyncio.sleep(0.01)
            if path.exists():
                seen.add(path.stat().st_mtime_ns)
        beating.cancel()
        return len(seen)

    return asyncio.run(run())


def test_a_hanging_engine_with_requests_is_silent(tmp_path: Path) -> None:
    engine = FakeEngine()
    assert touches(tmp_path / "one", engine, busy=True) > 2
    engine.hangs = True
    assert touches(tmp_path / "two", engine, busy=True) == 0
    assert touches(tmp_path / "three", engine, busy=False) > 2, "without requests it has nothing to do"


def test_silence_is_counted_from_the_last_touch(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    silence = Silence(path, poll_seconds=0.05)
    assert silence.look() == 0.0, "not ready yet"
    path.touch()
    assert silence.look() == 0.0
    for _ in range(4):
        time.sleep(0.05)
        silence.look()
    assert 0.15 < silence.seconds < 0.5
    path.touch()
    assert silence.look() == 0.0


def test_a_machine_that_slept_has_not_been_silent(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    path.touch()
    silence = Silence(path, poll_seconds=0.01)
    silence.look()
    time.sleep(0.5)
    assert silence.look() <= 0.02


@pytest.fixture
def folder(tmp_path: Path) -> EngineFolder:
    tmp_path.chmod(0o700)
    return EngineFolder.of(tmp_path, EngineSpec.of(LLMConfig(), None, "app-1"))


def test_an_event_is_one_line_with_engine_application_and_query(folder: EngineFolder) -> None:
    note(folder, "restart 1 of 3, because\n  it died", "42")
    note(folder, "ready")
    first, second = folder.events.read_text().splitlines()
    key = folder.path.name
    assert f" engine={key} application=app-1 query=42 pid={os.getpid()} restart 1 of 3, because it died" in first
    assert second.endswith(f"application=app-1 pid={os.getpid()} ready")


def test_the_log_of_events_is_bounded(folder: EngineFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MOST_BYTES", 2000)
    for i in range(100):
        note(folder, f"event {i}")
    files = sorted(path.name for path in folder.path.glob("events*"))
    assert files == ["events.log", "events.log.1", "events.log.lock"]
    assert sum(path.stat().st_size for path in folder.path.glob("events*")) < 5000
    assert folder.events.read_text().splitlines()[-1].endswith("event 99")


def test_a_folder_that_is_gone_costs_no_error(folder: EngineFolder) -> None:
    for path in folder.path.iterdir():
        path.unlink()
    folder.path.rmdir()
    note(folder, "ended")
    assert not folder.path.exists()
