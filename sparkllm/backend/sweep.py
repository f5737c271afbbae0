"""Clear away what dead engines left: orphans of a group whose watchdog and server were both killed, and old folders."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from filelock import Timeout

from sparkllm.backend.folder import WRITABLE, EngineFolder, is_private
from sparkllm.backend.processes import end_group

__all__ = ["engines", "sweep"]

# The log of an engine that failed or ended is what its user may still want to read.
_KEPT_SECONDS = 24 * 3600.0


def engines(root: Path) -> list[EngineFolder]:
    """The folders below `root` in which an engine runs or ran; those that another version wrote are left alone.

    So are those that are not this user's alone: what another wrote there would name the processes that are ended.
    """
    if not is_private(root, WRITABLE):
        return []
    folders = [EngineFolder(path.parent) for path in sorted(root.glob("*/state.json"))]
    return [folder for folder in folders if is_private(folder.path) and folder.readable]


def sweep(root: Path) -> None:
    """End orphans and remove the folders of engines that ended a day ago."""
    for folder in engines(root):
        try:
            with folder.lock().acquire(timeout=0):
                _sweep_one(folder)
        except Timeout:
            # Somebody is at work there: then it is not dead.
            continue


def _sweep_one(folder: EngineFolder) -> None:
    state = folder.state()
    if state.running:
        return
    if state.watchdog is not None and state.phase != "ended":
        end_group(state.watchdog, grace=0.0)
    if time.time() - state.since > _KEPT_SECONDS:
        shutil.rmtree(folder.path, ignore_errors=True)
