"""What estimates and drift checks have in common: lines of (name, value), as text and in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sparkllm.report_html import report_html

__all__ = ["ReportTable"]


class ReportTable(ABC):
    """Shows the lines of a subclass as a table of two columns."""

    @abstractmethod
    def _lines(self) -> list[tuple[str, str]]:
        """(name, value) of each line, in order."""

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self._lines())
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self._lines())

    def _repr_html_(self) -> str:
        return report_html(self._lines(), "")
