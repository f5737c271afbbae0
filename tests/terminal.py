"""A command on a terminal of its own, and what that terminal showed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence

__all__ = ["frames", "on_terminal", "screen"]

_ERASE = "\r\x1b[J"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    command: Sequence[str], environment: Mapping[str, str], columns: int = 100, *, stdout: int | None = None
) -> tuple[int, str]:
    """Exit code, and all that was written to the terminal; `stdout` goes elsewhere where it is given."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **environment},
        start_new_session=True,
    )
    os.close(theirs)
    written = bytearray()
    while True:
        try:
            read = os.read(ours, 1 << 16)
        except OSError:  # what Linux says at the end of a terminal
            break
        if not read:
            break
        written += read
    os.close(ours)
    return process.wait(), written.decode(errors="replace")


def frames(written: str) -> list[str]:
    """The drawings of the bar, one after the other, without colours."""
    drawn = [_CONTROL.sub("", part) for part in written.split(_ERASE) if "\x1b" in part]
    return [plain for part in drawn if (plain := re.sub(r"\r+\n", "\n", part).strip("\r"))]


def screen(written: str) -> list[str]:
    """The lines that stand there in the end."""
    rows, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", written):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif token == "\x1b[J":
            rows = [*rows[:row], rows[row][:column]]
        elif token.startswith("\x1b"):
            row -= int(token[2:-1]) if token.endswith("A") else 0
        else:
            rows[row] = rows[row].ljust(column)[:column] + token + rows[row][column + len(token) :]
            column += len(token)
    return [text.rstrip() for text in rows]
