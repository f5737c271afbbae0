"""Times for readers."""

from __future__ import annotations

__all__ = ["duration"]


def duration(seconds: float) -> str:
    """In the unit one would say it in.

    >>> duration(7200), duration(600), duration(42)
    ('2.00 h', '10.0 min', '42 s')
    """
    if seconds >= 3600:
        return f"{seconds / 3600:,.2f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
