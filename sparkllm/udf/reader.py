"""Who reads a task's answers: whether Spark still wants any.

When a LIMIT is met, or the task fails elsewhere, Spark closes the socket of the Python worker. The worker would see
that at its next write, after the engine has answered whole windows for nobody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

__all__ = ["Pending", "Reader", "ReaderGone"]

_POLL_SECONDS = 0.05


class ReaderGone(Exception):  # noqa: N818 (no error: a limit was met, or the task failed elsewhere)
    """The task has ended: nobody reads what would come next."""


class Pending(Protocol):
    """What an engine has been asked."""

    def wait(self, seconds: float) -> bool:
        """Whether all answers are there, after at most `seconds`."""


class Reader:
    """The reader of one task's answers."""

    def __init__(self, mark: str | None) -> None:
        """`mark`: path of a file that is there as long as the task runs; None where nobody puts one."""
        self._mark = Path(mark) if mark is not None else None

    def await_engine(self, answers: Pending) -> None:
        """Return once all answers are there.

        Raises:
            ReaderGone: the task has ended meanwhile.
        """
        self.check()
        while not answers.wait(_POLL_SECONDS):
            self.check()

    def check(self) -> None:
        """Raise ReaderGone once the task has ended."""
        if self._mark is not None and not self._mark.exists():
            raise ReaderGone
