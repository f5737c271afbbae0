"""The engine's server process: one event loop with the engine on it, and the Flight service in front.

Started by `watchdog`, never by hand. Module level stays light: vLLM's own spawned processes import it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from functools import partial
from pathlib import Path

from sparkllm.backend.download import follow_download
from sparkllm.backend.endpoint.settings import OPENAI
from sparkllm.backend.engine import DRY_RUN, Engine, EngineSpec, Sampling
from sparkllm.backend.events import note
from sparkllm.backend.folder import EngineFolder
from sparkllm.backend.heartbeat import beat
from sparkllm.backend.quarantine import Quarantine
from sparkllm.backend.start_error import explain, root_cause, tail
from sparkllm.backend.state import ASKED, IDLE, Phase
from sparkllm.errors import EngineStartError

__all__ = ["main"]

_POLL_SECONDS = 0.5


def main(argv: list[str]) -> None:
    """Serve the engine of the folder `argv[1]` until the watchdog, process `argv[2]`, ends the process group."""
    threading.Thread(target=_die_with, args=(int(argv[2]),), name="sparkllm-watch-parent", daemon=True).start()
    asyncio.run(_serve(EngineFolder(Path(argv[1]))))


def _die_with(watchdog: int) -> None:
    """End the whole process group once the watchdog is gone: nobody else would end vLLM's processes."""
    while os.getppid() == watchdog:
        time.sleep(_POLL_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


async def _serve(folder: EngineFolder) -> None:
    spec, began = folder.spec, time.monotonic()
    try:
        engine = await _engine(spec, folder.path)
        quarantine = Quarantine(folder.path, lambda: engine.dead)
        if quarantine.died:
            await _try(engine)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        _enter(folder, "failed", _failure(spec, error, folder))
        sys.exit(1)
    from sparkllm.backend.flight_service import FlightService
    from sparkllm.backend.requests import Requests
    from sparkllm.backend.wire import location

    requests = Requests(engine, asyncio.get_running_loop(), quarantine, lambda event, query: note(folder, event, query))
    address = location(folder.socket(folder.state().launch))
    token = folder.token.read_text(encoding="utf-8")
    # Flight serves from its own threads as soon as it is made.
    service = FlightService(address, token, requests, stop=lambda: _enter(folder, "stopping", ASKED))
    _enter(folder, "ready")
    note(folder, f"ready after {time.monotonic() - began:.1f} s")
    beating = asyncio.ensure_future(
        beat(folder.heartbeat, lambda: bool(quarantine.under_way), engine.ping, spec.hang_seconds)
    )
    while not engine.dead:
        await asyncio.sleep(_POLL_SECONDS)
        if requests.idle_seconds > spec.idle_seconds:
            _enter(folder, "stopping", f"{IDLE} for {spec.idle_seconds:.0f} s")
    cause = root_cause(tail(folder.log))
    _enter(folder, "stopping", f"vLLM's engine process ended{': ' if cause else ''}{cause}")
    # Streams under way tell their clients; the watchdog sees the phase and ends the group.
    await asyncio.sleep(60)
    del service, beating


async def _engine(spec: EngineSpec, folder: Path) -> Engine:
    if spec.engine == DRY_RUN:
        from sparkllm.backend.dry_run_engine import DryRunEngine

        return DryRunEngine(spec)
    if spec.engine == OPENAI:
        from sparkllm.backend.endpoint.endpoint_engine import EndpointEngine

        endpoint = EndpointEngine(spec)
        await endpoint.prepare()
        return endpoint
    from sparkllm.backend.vllm_engine import VLLMEngine

    loading = EngineFolder(folder).loading
    told = follow_download(spec.model, json.loads(spec.engine_options).get("download_dir"), partial(_tell, loading))
    try:
        engine = VLLMEngine(spec, folder)
        await engine.prepare()
    finally:
        told.set()
    return engine


def _tell(loading: Path, text: str) -> None:
    """What the start is at, for those who wait for it."""
    with contextlib.suppress(OSError):
        loading.write_text(text, encoding="utf-8")


async def _try(engine: Engine) -> None:
    """One token, after an engine died over its requests: were it at its first one again, no request is to blame."""
    await engine.answer("first", [0], Sampling(max_tokens=1))


def _failure(spec: EngineSpec, error: BaseException, folder: EngineFolder) -> str:
    if spec.engine == OPENAI and isinstance(error, EngineStartError):  # it says itself what to do
        return f"{error}. Log: {folder.log}"
    return explain(spec.model, _found(error, folder), folder.log)


def _found(error: BaseException, folder: EngineFolder) -> str:
    if isinstance(error, EngineStartError):
        return str(error)
    # vLLM's own processes write their reason to the log; what arrives here only says that one of them failed.
    return root_cause(tail(folder.log)) or f"{type(error).__name__}: {error}"


def _enter(folder: EngineFolder, phase: Phase, error: str = "") -> None:
    with folder.lock():
        state = folder.state()
        # What is ending stays so, with its first reason.
        if state.phase in ("starting", "ready") and (state.phase, phase) != ("ready", "ready"):
            folder.write_state(state.to(phase, error=error))


if __name__ == "__main__":
    main(sys.argv)
