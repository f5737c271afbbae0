"""Engines that die under one task, on fake ones behind a real service: what is sent again, how often, and what not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkllm.backend import client
from sparkllm.backend.client import EngineClient
from sparkllm.backend.engine import EngineSpec, Sampling
from sparkllm.backend.folder import EngineFolder, write_private
from sparkllm.backend.processes import ProcessRef
from sparkllm.backend.state import EngineState
from sparkllm.backend.task_engine import TaskEngine
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineDiedError

from .conftest import prompts
from .fake import TOKEN, Served

ROWS = 400
MOST = 50


class Host:
    """Starts a fake engine where the last one is dead; this process stands for all of its own."""

    def __init__(self, root: Path, me: ProcessRef) -> None:
        root.chmod(0o700)
        self.folder = EngineFolder.of(root, EngineSpec.of(LLMConfig(), None, "app"))
        self.me = me
        self.launches: list[Served] = []

    def connect(self) -> EngineClient:
        if not self.launches or self.launches[-1].engine.dead:
            launch = f"{len(self.launches):08x}"
            state = EngineState("ready", launch, watchdog=self.me, server=self.me)
            write_private(self.folder.token, TOKEN)
            self.launches.append(Served(self.folder.socket(launch), self.folder.path))
            self.folder.write_state(state)
        return EngineClient(self.folder, self.folder.state(), MOST, 0.0)

    def end(self) -> None:
        for one in self.launches:
            one.end()

    @property
    def asked(self) -> int:
        return sum(one.engine.asked for one in self.launches)

    def kill_after(self, answers: int) -> None:
        self.launches[-1].engine.dies_after = answers


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(client, "_DEATH_SECONDS", 0.1)
    one = Host(tmp_path, ProcessRef.of(os.getpid()))
    yield one
    one.end()


def test_only_what_was_not_answered_is_sent_again(host: Host) -> None:
    engine = TaskEngine(host.connect, restarts=1)
    host.kill_after(ROWS // 2)
    answers = engine.submit(prompts([[i, 1] for i in range(ROWS)]), Sampling()).result()
    assert answers.column("text").to_pylist() == [str(i + 1) for i in range(ROWS)]
    twice = host.asked - ROWS
    print(f"{twice} of {ROWS} asked twice, {MOST} were under way")
    assert len(host.launches) == 2
    assert 0 < twice <= MOST
    assert sum(answers.column("asked").to_pylist()) == host.asked
    assert host.launches[-1].requests.counters("")["resent"] == twice


def test_a_row_that_kills_is_left_out_and_does_not_kill_again(host: Host) -> None:
    engine = TaskEngine(host.connect, restarts=2)
    rows = prompts([[-3, 7] if i == ROWS // 2 else [i] for i in range(ROWS)])
    answers = engine.submit(rows, Sampling()).result().to_pylist()
    assert [i for i, row in enumerate(answers) if row["text"] is None] == [ROWS // 2]
    assert answers[ROWS // 2]["killed"]
    assert "died each time" in answers[ROWS // 2]["error"]
    launches = len(host.launches)
    print(f"{launches - 1} restarts, {host.asked - ROWS} asked again")
    assert engine.submit(prompts([[-3, 7]]), Sampling()).result().column("killed").to_pylist() == [True]
    assert len(host.launches) == launches, "another window of the query"
    assert "restart 1 of 2" in host.folder.events.read_text()


def test_both_windows_of_a_task_go_on_with_one_restart(host: Host) -> None:
    engine = TaskEngine(host.connect, restarts=1)
    with engine.hold():
        windows = [engine.submit(prompts([[n, i] for i in range(ROWS)]), Sampling()) for n in range(2)]
        host.kill_after(ROWS)
        for n, window in enumerate(windows):
            assert window.result().column("text").to_pylist() == [str(n + i) for i in range(ROWS)]
        assert len(host.launches) == 2
        assert host.launches[-1].requests.idle_seconds == 0.0, "the next engine is held, too"


def test_an_engine_that_dies_too_often_is_one_clear_error(host: Host) -> None:
    engine = TaskEngine(host.connect, restarts=1, query="7")
    with pytest.raises(
        EngineDiedError, match=r"it died 2 times while this task ran \(spark.sparkllm.engineRestarts=1\)"
    ):
        engine.submit(prompts([[-3, i] for i in range(ROWS)]), Sampling()).result()
    assert "query=7 pid=" in host.folder.events.read_text()
    assert "given up" in host.folder.events.read_text()


def test_what_tasks_have_agreed_on_outlives_the_engine(host: Host) -> None:
    engine = TaskEngine(host.connect, restarts=1)
    assert engine.agree("order", "0,1") == "0,1"
    host.launches[-1].engine.dead = True
    engine.submit(prompts([[1]]), Sampling()).result()
    assert host.connect().agree("order", "1,0") == "0,1"


def test_what_an_engine_died_of_is_told_after_the_next_one_has_started(host: Host) -> None:
    engine = host.connect()
    next_one = EngineState("ready", "ffffffff", watchdog=host.me, server=host.me, previous="it hung")
    host.folder.write_state(next_one)
    error = engine._translate(OSError("the socket broke"))
    assert isinstance(error, EngineDiedError)
    assert error.reason == f"it hung (log: {host.folder.path}/server-00000000.log)"
