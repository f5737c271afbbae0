"""The real watchdog and server processes around an engine without a model, so that a start takes a second.

`python -m tests.backend.stand_in watchdog FOLDER`, which starts `... server FOLDER`. In place of vLLM's engine process
stands one that echoes lines: the sum of a prompt's tokens is its answer.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from sparkllm.backend import launch, server, watchdog
from sparkllm.backend.engine import Answer, EngineSpec, Sampling
from sparkllm.errors import EngineDiedError
from tests.backend.fake import FakeEngine

__all__ = ["instead", "start_stand_ins"]

_ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
_SECONDS = 0.004  # of one answer
_popen = subprocess.Popen


class EchoEngine(FakeEngine):
    """Its `core` is a process: killed, the engine is dead; stopped, it hangs."""

    def __init__(self, core: Process) -> None:
        super().__init__()
        self._core, self._turn = core, asyncio.Lock()

    @property
    def dead(self) -> bool:  # type: ignore[override]
        return self._core.returncode is not None

    async def ping(self) -> None:
        await self._echo("ping")

    async def answer(self, request_id: str, token_ids: list[int], sampling: Sampling) -> Answer:
        await asyncio.sleep(_SECONDS)
        return Answer(await self._echo(str(sum(token_ids))), None, len(token_ids), 0, 1)

    async def _echo(self, text: str) -> str:
        async with self._turn:
            assert self._core.stdin is not None
            assert self._core.stdout is not None
            try:
                self._core.stdin.write(f"{text}\n".encode())
                await asyncio.sleep(_SECONDS)
                line = await self._core.stdout.readline()
            except OSError:
                line = b""
        if not line:
            await self._core.wait()
            raise EngineDiedError("its core is gone")
        return line.decode().strip()


async def _engine(spec: EngineSpec, folder: Path) -> EchoEngine:
    return EchoEngine(await asyncio.create_subprocess_exec(sys.executable, "-c", _ECHO, stdin=PIPE, stdout=PIPE))


def start_stand_ins(monkeypatch: Any) -> None:
    """From here on, `connect` starts these."""
    monkeypatch.setattr(launch, "_check_vllm", lambda: None)
    monkeypatch.setattr(launch.subprocess, "Popen", instead("watchdog"))


def instead(part: str, module: str = "tests.backend.stand_in") -> Any:
    """A Popen that starts `part` of a module such as this in place of sparkllm's own; all else as it is."""

    def popen(command: Any, *args: Any, **kwargs: Any) -> Any:
        own = [f"sparkllm.backend.{part}"]
        if list(command[2:3]) == own:
            command = [*command[:2], module, part, *command[3:]]
        return _popen(command, *args, **kwargs)

    return popen


if __name__ == "__main__":
    if sys.argv[1] == "watchdog":
        watchdog.subprocess.Popen = instead("server")  # type: ignore[misc]
        watchdog.main(sys.argv[1:])
    else:
        server._engine = _engine  # type: ignore[assignment]
        server.main(sys.argv[1:])
