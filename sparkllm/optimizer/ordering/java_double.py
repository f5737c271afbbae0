"""Floating-point numbers as Java writes them."""

from __future__ import annotations

import decimal
import math
import re

__all__ = ["java_double"]


def java_double(value: float, digits: str) -> str:
    """`Double.toString`: the shortest digits that mean the value, plain from 1e-3 to 1e7, else with an exponent."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return format(decimal.Decimal(digits), "f")
    sign, figures, exponent = decimal.Decimal(digits).as_tuple()
    power = int(exponent) + len(figures) - 1
    text = "".join(map(str, figures))
    rest = re.sub(r"0+$", "", text[1:]) or "0"
    return f"{'-' if sign else ''}{text[0]}.{rest}E{power}"
