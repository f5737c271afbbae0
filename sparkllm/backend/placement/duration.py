"""Times, as people write and read them."""

from __future__ import annotations

import re

from sparkllm.errors import ConfigError

__all__ = ["duration", "seconds"]

_UNITS = {"d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_PART = r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)\s*"


def duration(seconds: float) -> str:
    """In the unit one would say it in.

    >>> duration(7200), duration(600), duration(42)
    ('2.00 h', '10.0 min', '42 s')
    """
    if seconds >= 3600:
        return f"{seconds / 3600:,.2f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def seconds(text: str | float) -> float:
    """The other way round; a number without unit is seconds.

    Raises:
        ConfigError: it is neither.

    >>> seconds("2h"), seconds("1h30m"), seconds("90 min"), seconds("45"), seconds(7200)
    (7200.0, 5400.0, 5400.0, 45.0, 7200.0)
    """
    written = str(text).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", written):
        return float(written)
    if not re.fullmatch(f"({_PART})+", written):
        raise ConfigError(f"expected a time such as 2h, 90m, 1h30m or 7200 (seconds), found {text!r}")
    return float(sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, written)))
