"""The engine's parent: starts the server and ends the whole process group when it is time.

It stays small (no torch, no vLLM), so that nothing it guards can take it down. The group ends when the server ends
or is killed, when the engine gives no sign of life, when the last lease holder is gone, or when SIGTERM asks for it.
Should the watchdog itself be killed, the server notices and ends the group (see `server`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from sparkllm.backend import lease
from sparkllm.backend.events import note
from sparkllm.backend.folder import EngineFolder
from sparkllm.backend.heartbeat import Silence
from sparkllm.backend.processes import ProcessRef, end_group
from sparkllm.backend.quarantine import forget_in_flight
from sparkllm.backend.start_error import explain_exit
from sparkllm.backend.state import ASKED, UNUSED

__all__ = ["main"]

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 3.0


def main(argv: list[str]) -> None:
    """Start the server for the folder `argv[1]`, if it still waits for launch `argv[2]`; stay until it has ended."""
    folder, launch = EngineFolder(Path(argv[1])), argv[2]
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    with folder.lock():
        state = folder.state()
        if (state.phase, state.launch) != ("starting", launch):
            # Who asked for this one was killed, or waited too long, and there may be another by now.
            note(folder, f"launch {launch} came too late and ends: the engine is {state.phase}, launch {state.launch}")
            return
        folder.heartbeat.unlink(missing_ok=True)
        server = subprocess.Popen([sys.executable, "-m", "sparkllm.backend.server", argv[1], str(os.getpid())])
        me, child = ProcessRef.of(os.getpid()), ProcessRef.of(server.pid)
        folder.write_state(state.to("starting", watchdog=me, server=child))
    silence = Silence(folder.heartbeat, _POLL_SECONDS)
    while not _should_end(folder, server, asked, silence):
        asked.wait(_POLL_SECONDS)
    # From here on a second SIGTERM, its own included, must not disturb the end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_group(me, _GRACE_SECONDS, spare=[me.pid])
    _clean_up(folder)


def _should_end(
    folder: EngineFolder, server: subprocess.Popen[bytes], asked: threading.Event, silence: Silence
) -> bool:
    status, silent = server.poll(), silence.look()
    # A client writes its lease under the same lock, so none is given an engine that has just decided to end.
    with folder.lock():
        state = folder.state()
        if status is not None and state.phase == "starting":
            folder.write_state(state.to("failed", error=explain_exit(status, folder.spec.model, folder.log)))
        elif state.phase in ("starting", "ready"):
            reason = _reason(folder, status, asked) or _hang(folder, silent)
            if not reason:
                return False
            folder.write_state(state.to("stopping", error=reason))
    return True


def _reason(folder: EngineFolder, status: int | None, asked: threading.Event) -> str:
    """Why the engine must end; "" while it must not."""
    if status is not None:
        return (
            f"its server was killed by signal {-status}" if status < 0 else f"its server ended with exit code {status}"
        )
    if asked.is_set():
        return ASKED
    return "" if lease.drop_dead(folder.leases) else UNUSED


def _hang(folder: EngineFolder, silent: float) -> str:
    limit = folder.spec.hang_seconds
    if not limit or silent < limit:
        return ""
    reason = f"it hung: no step for {silent:.0f} s with requests under way (spark.sparkllm.hangSeconds={limit:g})"
    note(folder, f"hang found: {reason}")
    return reason


def _clean_up(folder: EngineFolder) -> None:
    with folder.lock():
        state = folder.state()
        for path in (folder.socket(state.launch), folder.token):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        if state.orderly:
            forget_in_flight(folder.path)
        note(folder, f"ended: {state.error}" if state.phase != "failed" else f"start failed: {state.error}")
        if state.phase != "failed":
            folder.write_state(state.to("ended"))


if __name__ == "__main__":
    main(sys.argv)
