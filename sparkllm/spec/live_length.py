"""The draft length that vLLM asks its drafter for, where it would look it up in a table by batch size."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LiveLength"]


@dataclass
class LiveLength:
    """Stands in for the table: gives one length, whatever the batch size, and may change it before every step.

    >>> live = LiveLength(8)
    >>> live.length = 3
    >>> live[16]
    3
    """

    length: int

    def __getitem__(self, batch_size: int) -> int:
        return self.length
