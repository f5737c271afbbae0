"""Helpers for engines: a fake one for the service's logic, and the real one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import psutil
import pyarrow as pa
import pytest

from sparkllm.backend.client import EngineClient, connect
from sparkllm.backend.launch import end
from sparkllm.backend.processes import ProcessRef, group_members
from sparkllm.config import LLMConfig

GONE_SECONDS = 15.0


@pytest.fixture(scope="session")
def config(runtime_dir: str) -> LLMConfig:
    return LLMConfig(model="demo", runtime_dir=runtime_dir, kv_cache_gib=1)


def prompts(rows: Sequence[list[int] | None]) -> pa.ListArray:
    return pa.array(rows, pa.list_(pa.int32()))


def leader(engine: EngineClient) -> ProcessRef:
    watchdog = engine._folder.state().watchdog
    assert watchdog is not None
    return watchdog


def server_of(engine: EngineClient) -> ProcessRef:
    server = engine._folder.state().server
    assert server is not None
    return server


def gone_after(members: list[ProcessRef], limit: float = GONE_SECONDS) -> float:
    """Seconds until none of `members` lives; fails after `limit`."""
    began = time.monotonic()
    while left := [member for member in members if member.alive]:
        names = [psutil.Process(member.pid).cmdline()[:4] for member in left if psutil.pid_exists(member.pid)]
        assert time.monotonic() - began < limit, f"still alive after {limit} s: {names}"
        time.sleep(0.1)
    return time.monotonic() - began


def members_of(engine: EngineClient) -> list[ProcessRef]:
    """The engine's whole process group; at least watchdog, server and vLLM's engine process."""
    members = group_members(leader(engine).pid)
    assert len(members) >= 3
    assert os.getpid() not in {member.pid for member in members}
    return members


@pytest.fixture(scope="module")
def start(config: LLMConfig) -> Iterator[Callable[[], EngineClient]]:
    """Starts (or finds) this module's engine; it ends with the module, so that two are never alive at once."""
    clients: list[EngineClient] = []

    def connected() -> EngineClient:
        clients.append(connect(config, None, "tests-backend"))
        return clients[-1]

    yield connected
    for client in clients:
        end(client._folder)
