"""What may pass when it is asked again, what never will, and how long to wait."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

__all__ = ["OF_THE_ROW", "PASSES", "Setback", "back_off", "wanted_wait"]

_FIRST_SECONDS, _MOST_SECONDS = 0.5, 20.0
# Statuses that may pass: the server is busy or away. Of the second kind it may be this one request that it fails over.
PASSES = frozenset({408, 409, 425, 429})
OF_THE_ROW = frozenset({500, 504})


@dataclass(frozen=True)
class Setback:
    """Why there is no reply yet.

    Attributes:
        reason: in words.
        of_row: it may be this request's own doing.
        wait: seconds that the server wants one to wait; None where it does not say.
    """

    reason: str
    of_row: bool = False
    wait: float | None = None


def back_off(tries: int) -> float:
    """Seconds to wait after so many tries: twice as long each time, up to 20, and never as long as others wait."""
    return min(_MOST_SECONDS, _FIRST_SECONDS * 2.0 ** min(tries, 10)) * random.uniform(0.5, 1.0)


def wanted_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, in its three forms; None where it is not there or makes no sense.

    >>> wanted_wait({"retry-after": "2"}), wanted_wait({"retry-after-ms": "150"}), wanted_wait({"retry-after": "soon"})
    (2.0, 0.15, None)
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            return max(0.0, float(text) / unit)
        except ValueError:
            pass
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except ValueError:
        return None
