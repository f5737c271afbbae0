"""One line in the log of a process, where nothing may fail because of it: the log's own disk may be full."""

from __future__ import annotations

import contextlib
import sys
from typing import TextIO

__all__ = ["log_line"]


def log_line(text: str, stream: TextIO | None = None) -> None:
    """Write `sparkllm: <text>`, to standard output unless told otherwise."""
    with contextlib.suppress(OSError, ValueError):
        print(f"sparkllm: {text}", file=stream or sys.stdout, flush=True)
