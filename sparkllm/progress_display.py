"""Where the progress bar is drawn: on a terminal, in a notebook, or as a line now and then."""

from __future__ import annotations

import contextlib
import html
import io
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table

from sparkllm.progress_line import Line

__all__ = ["Display", "Lines", "Notebook", "Terminal", "display_here"]

_MOST_LINES = 8
_LEAST_WIDTH = 24
_LEAST_BAR, _MOST_BAR = 6, 24
_NOTEBOOK_WIDTH = 120
_LINE_SECONDS = 30.0
# What others print waits no longer for the bar to leave; a process that was forked meanwhile would wait for ever.
_LOCK_SECONDS = 0.5
_ERASE = "\r\x1b[J"  # from here to the end of the screen


class Display(Protocol):
    """What shows the lines of all queries that run."""

    on_request: bool  # shows only what was asked for with `progress=on`

    def draw(self, lines: Sequence[Line], ended: Sequence[Line] = ()) -> None:
        """Show these in place of what was shown; `ended` are those of queries that run no more, for the last time."""


def display_here() -> Display:
    """What suits this process now: a notebook, a terminal that can move its cursor, or neither."""
    stream = sys.stderr
    if _notebook() is not None:
        return Notebook()
    if stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Terminal(stream)
    return Lines()


def rendered(lines: Sequence[Line], width: int, colour: bool, encoding: str = "utf-8") -> list[str]:
    """One text for each line, none longer than `width`, with a bar in the room that is left."""
    name = max((len(line.name) for line in lines), default=0)
    texts = [line.fitted(width - name - _LEAST_BAR - 2) for line in lines]
    bar = min(_MOST_BAR, width - name - 2 - max(map(len, texts), default=0))
    table = Table.grid(padding=(0, 1, 0, 0))
    for line, text in zip(lines, texts, strict=True):
        table.add_row(line.name, ProgressBar(1.0, line.share, width=max(1, bar)), text)
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="\n")  # rich asks for both
    console = Console(file=out, width=width, force_terminal=colour, force_jupyter=False, highlight=False, emoji=False)
    console.print(table, no_wrap=True, overflow="crop", markup=False)
    out.seek(0)
    return [text.rstrip() for text in out.read().splitlines()]


class Terminal:
    """The lines stand below what others print, the cursor at their beginning.

    So whoever prints past this class (Spark's log, a prompt) writes over the first of them, and the next drawing wipes
    the rest; what Python prints, to standard output or error, comes after they have been taken away.
    """

    on_request = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._drawn = self._midway = False
        self._replaced: list[tuple[str, Any, _Above]] = []

    def draw(self, lines: Sequence[Line], ended: Sequence[Line] = ()) -> None:
        """See `Display.draw`."""
        with self._held():
            if self._midway and lines:  # somebody has begun a line, which is not ours to wipe
                return
            width = max(_LEAST_WIDTH, Console(file=self._stream).width - 1)
            shown = rendered(lines[:_MOST_LINES], width, True, self._stream.encoding or "utf-8")
            shown += [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
            if lines and not self._replaced:
                self._stand_above()
            up = f"\r\x1b[{len(shown) - 1}A" if len(shown) > 1 else "\r"
            self._write((_ERASE if self._drawn else "") + ("\r\n".join(shown) + up if shown else ""))
            self._drawn = bool(shown)
            if not lines:
                self._step_aside()

    @contextlib.contextmanager
    def lifted(self, text: str) -> Iterator[None]:
        """While somebody else prints `text`."""
        with self._held():
            if self._drawn:
                self._write(_ERASE)
                self._drawn = False
            if text:
                self._midway = not text.endswith(("\n", "\r"))
            yield

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        held = self._lock.acquire(timeout=_LOCK_SECONDS)
        try:
            yield
        finally:
            if held:
                self._lock.release()

    def _write(self, text: str) -> None:
        if text:
            self._stream.write(text)
            self._stream.flush()

    def _stand_above(self) -> None:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and stream.isatty():
                above = _Above(stream, self)
                self._replaced.append((name, stream, above))
                setattr(sys, name, above)

    def _step_aside(self) -> None:
        for name, stream, above in self._replaced:
            if getattr(sys, name) is above:  # else somebody has replaced it since, and will put it back
                setattr(sys, name, stream)
        self._replaced, self._midway = [], False


class _Above:
    """A stream of the terminal: the bar leaves it before something is printed."""

    def __init__(self, stream: Any, terminal: Terminal) -> None:
        self._stream, self._terminal = stream, terminal

    def write(self, text: str) -> int:
        with self._terminal.lifted(text):
            written = self._stream.write(text)
            self._stream.flush()  # now, and not when the bar stands there again
        return int(written)

    def writelines(self, texts: Any) -> None:
        self.write("".join(texts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Notebook:
    """The lines are an output of the cell that runs, and the last ones stay there."""

    on_request = False

    def __init__(self) -> None:
        self._handle: Any = None
        self._ended: list[Line] = []

    def draw(self, lines: Sequence[Line], ended: Sequence[Line] = ()) -> None:
        """See `Display.draw`."""
        self._ended += ended
        shown = [*self._ended, *lines][-_MOST_LINES:]
        if shown:
            self._show("\n".join(rendered(shown, _NOTEBOOK_WIDTH, False)))
        if not lines:
            self._handle, self._ended = None, []

    def _show(self, text: str) -> None:
        from IPython.display import display

        data = {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


class Lines:
    """Neither terminal nor notebook: with `progress=on`, a line every half a minute and at the end of a query."""

    on_request = True

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def draw(self, lines: Sequence[Line], ended: Sequence[Line] = ()) -> None:
        """See `Display.draw`."""
        now = time.monotonic()
        due = [line for line in lines if now - self._said.setdefault(line.name, now) >= _LINE_SECONDS]
        for line in due:
            self._said[line.name] = now
        for line in ended:
            self._said.pop(line.name, None)
        for line in [*due, *ended]:
            print(f"sparkllm: {line.name}: {line.fitted(1000)}", file=sys.stderr, flush=True)


def _notebook() -> Any:
    """The shell of a notebook's kernel; None elsewhere, where IPython has not even been imported."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if shell is not None and hasattr(shell, "kernel") else None
