"""The engine's folder: private, named by the spec's key, with its state, token, leases and logs.

<runtime_dir>/<key>/   spec.json  state.json  token  leases/  events.log  server-<launch>.log  s-<launch>   (the socket)
                       heartbeat  in_flight  deaths.json   (see heartbeat.py, quarantine.py)
                       ipc/  (vLLM's own sockets)   loading   (what a start is at, in words)
<runtime_dir>/<key>.lock
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import threading
from pathlib import Path

from filelock import FileLock

from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.state import EngineState
from sparkllm.errors import EngineStartError

__all__ = ["WRITABLE", "EngineFolder", "is_private", "root_for"]

# sockaddr_un holds 108 bytes; some platforms hold 104.
_MAX_SOCKET_PATH = 99
WRITABLE = 0o022  # by others: in such a root they could put a folder of theirs in place of an engine's
_KEY_AND_SOCKET = len("/0123456789ab/s-01234567")


class EngineFolder:
    """Paths and files of one engine. Whoever reads state to act upon it holds `lock()` meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.token = path / "token"
        self.events = path / "events.log"
        self.heartbeat = path / "heartbeat"
        self.loading = path / "loading"
        self.leases = path / "leases"
        self._spec = path / "spec.json"
        self._state = path / "state.json"

    @classmethod
    def of(cls, root: Path, spec: EngineSpec) -> EngineFolder:
        """The folder of `spec` below `root`, made and checked.

        Raises:
            EngineStartError: a folder belongs to somebody else, or others may look into it.
        """
        _make_private(root, WRITABLE)
        folder = cls(root / spec.key)
        _make_private(folder.path)
        write_private(folder._spec, spec.to_json())
        return folder

    def lock(self) -> FileLock:
        """A fresh lock on this engine's state; held for milliseconds."""
        return FileLock(f"{self.path}.lock", timeout=30, mode=0o600)

    @property
    def spec(self) -> EngineSpec:
        """What `of` wrote."""
        return EngineSpec.from_json(self._spec.read_bytes())

    @property
    def readable(self) -> bool:
        """Whether this version of sparkllm understands what is written here."""
        try:
            return bool(self.spec and self.state())
        except (OSError, ValueError, TypeError, KeyError):
            return False

    def state(self) -> EngineState:
        """The state now; `none` when no engine was started here."""
        try:
            return EngineState.from_json(self._state.read_bytes())
        except FileNotFoundError:
            return EngineState()

    def write_state(self, state: EngineState) -> None:
        """Replace the state; call it with the lock held."""
        write_private(self._state, state.to_json())

    @property
    def log(self) -> Path:
        """What the processes of the present launch say, vLLM's among them."""
        return self.log_of(self.state().launch)

    def log_of(self, launch: str) -> Path:
        """The log of one launch: each has its own, so that the path in an error stays right after a restart."""
        return self.path / f"server-{launch}.log"

    def logs(self) -> list[Path]:
        """The logs of all launches that are there, the latest first."""
        return sorted(self.path.glob("server-*.log"), key=lambda log: log.stat().st_mtime, reverse=True)

    def socket(self, launch: str) -> Path:
        """The socket of one launch. A new name each time: gRPC remembers for a while that an address was dead."""
        return self.path / f"s-{launch}"


def root_for(runtime_dir: str) -> Path:
    """The folder of all engine folders: `runtime_dir` or one in the temporary folder; a shorter one if need be.

    Raises:
        EngineStartError: every candidate is too long for a Unix socket.
    """
    name = f"sparkllm-{os.getuid()}"
    wanted = Path(runtime_dir).expanduser().absolute() if runtime_dir else Path(tempfile.gettempdir()).absolute() / name
    tag = hashlib.sha256(bytes(wanted)).hexdigest()[:6]
    for root in (wanted, Path(f"/tmp/{name}-{tag}")):
        if len(bytes(root)) + _KEY_AND_SOCKET <= _MAX_SOCKET_PATH:
            return root
    raise EngineStartError(
        f"expected a folder whose path leaves room for a Unix socket: at most {_MAX_SOCKET_PATH - _KEY_AND_SOCKET} "
        f"bytes, found {wanted}: set spark.sparkllm.runtimeDir to a shorter path"
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, all of it or nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def is_private(path: Path, forbidden: int = 0o077) -> bool:
    """Whether it is a folder, no link, of this user alone; without one there is nothing to trust below it.

    Args:
        path: what may be one.
        forbidden: the rights of others that make it none.
    """
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & forbidden


def _make_private(path: Path, forbidden: int = 0o077) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise EngineStartError(
            f"expected a folder for the engine's socket and log at {path}, found: {error}. "
            f"Set spark.sparkllm.runtimeDir to a folder of your own"
        ) from None
    if not is_private(path, forbidden):
        raise EngineStartError(
            f"expected {path} to be a folder of user {os.getuid()} with mode 0700, found user {found.st_uid}, "
            f"mode {stat.filemode(found.st_mode)}. Remove it, or set spark.sparkllm.runtimeDir to a folder of your own"
        )
