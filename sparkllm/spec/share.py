"""The share of their time that steps may spend on finding out whether drafts pay: on drafts, and on choosing.

What drafts would gain is a mean over requests, and of a large batch it takes fewer steps to know it: each shows more
drafts, and each draft costs a smaller part of it. So beyond some size the share falls with the root of the batch.
"""

from __future__ import annotations

__all__ = ["share"]

_SHARE = 0.005
_BATCH = 16  # up to which the share is whole


def share(batch: int) -> float:
    """Part of the time of a step in which `batch` requests decode, 0..1."""
    return float(_SHARE * min(1.0, (_BATCH / max(1, batch)) ** 0.5))
