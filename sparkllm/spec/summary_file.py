"""What the policy did so far, in a small file: its scheduler may run in another process than who wants to know."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["SummaryFile"]

_BYTES = 1024  # always as long, and within one page: a reader sees the old content or the new


class SummaryFile:
    """Writes sums of whole numbers, each time in place of the last ones; some microseconds each."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def write(self, sums: Mapping[str, int]) -> None:
        """Replace what is written.

        Raises:
            ValueError: it is too long.
        """
        text = json.dumps(sums).encode()
        if len(text) > _BYTES:
            raise ValueError(f"expected sums of at most {_BYTES} bytes as JSON; found {len(text)}; write fewer")
        os.pwrite(self._descriptor, text.ljust(_BYTES), 0)
