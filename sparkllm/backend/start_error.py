"""From vLLM's log to one message: what was expected, what was found, what to do, where the log is."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from sparkllm.backend.start_advice import advice, without_secrets

__all__ = ["explain", "explain_exit", "root_cause"]

# `(EngineCore pid=12) ERROR 11-21 01:19:48 [core.py:1100] `, in front of the lines of a traceback.
_LOG_PREFIX = re.compile(r"^(\([^)]*pid=\d+\) ?)?((ERROR|WARNING|INFO) [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|OutOfMemory\w*|OfflineModeIsEnabled)\b\s*:")
# Errors that only say that another process has failed.
_WRAPPERS = (
    "Engine core initialization failed",
    "WorkerProc initialization failed",
    "Worker failed with error",
    "EngineCore encountered an issue",
)
_TAIL_BYTES = 200_000
_MAX_CAUSE = 1200
_LONG_LIST = re.compile(r" Supported architectures: .*|(?<=Must be one of) \[.*", re.DOTALL)


def explain(model: str, found: str, log: Path) -> str:
    """The whole message of an EngineStartError.

    >>> explain("m", "ValueError: size mismatch.", Path("/l"))[:72]
    "expected vLLM to start with model 'm'; found: ValueError: size mismatch."
    """
    found = without_secrets(_LONG_LIST.sub("", found), os.environ).rstrip(". ")
    todo = advice(found, model, os.environ)
    return f"expected vLLM to start with model {model!r}; found: {found}. To do: {todo}. Log: {log}"


def explain_exit(status: int, model: str, log: Path) -> str:
    """The message for a server that ended during its start without a word; `status` as Popen.returncode."""
    found = root_cause(tail(log))
    if status < 0:
        killed = f"the server was killed by {signal.Signals(-status).name}"
        found = f"{killed} (out of memory?)" if status == -signal.SIGKILL else killed
    return explain(model, found or f"the server ended with exit code {status}", log)


def tail(log: Path) -> str:
    """The end of the log, as text."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace")


def root_cause(text: str) -> str:
    """The last exception in a log that is not about another process, with the lines that belong to it; else ""."""
    lines = [_LOG_PREFIX.sub("", line) for line in text.splitlines()]
    for index in reversed(range(len(lines))):
        if _RAISED.match(lines[index]) and not any(wrapper in lines[index] for wrapper in _WRAPPERS):
            return _whole(lines[index:])
    return ""


def _whole(lines: list[str]) -> str:
    # pydantic and vLLM write the reason below the exception's name; a blank line or a new traceback ends it.
    kept = [lines[0]]
    for line in lines[1:6]:
        if not line.strip() or line.startswith(("Traceback", "During handling", "The above")) or _RAISED.match(line):
            break
        kept.append(line.strip())
    return without_secrets(" ".join(kept), os.environ)[:_MAX_CAUSE]
