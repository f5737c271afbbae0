"""What of a ledger does not work right now: said once in the log, and once to each query."""

from __future__ import annotations

from sparkllm.backend.log_line import log_line

__all__ = ["Troubles"]

_MOST_TOLD = 1000  # queries that are remembered


class Troubles:
    """Sentences by what they are about, each until that works again."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._told: dict[str, None] = {}

    def __str__(self) -> str:
        return " ".join(self._texts.values())

    def begin(self, about: str, text: str) -> None:
        """Something does not work; nothing new where that is known."""
        if about not in self._texts:
            self._texts[about] = text
            self._told.clear()
            log_line(text)

    def end(self, about: str) -> bool:
        """It works; whether it did not before."""
        return self._texts.pop(about, None) is not None

    def take(self, query: str) -> str:
        """All of it for the first task of a query that asks, "" for the others: it is one warning, not one a task."""
        if not self._texts or query in self._told:
            return ""
        if len(self._told) >= _MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._told[query] = None
        return str(self)
