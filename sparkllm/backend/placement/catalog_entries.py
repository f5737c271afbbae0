"""What the entries of a catalogue file may say; a wrong one is named with file, line, what is expected and found."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sparkllm.backend.placement.gpu import GPU, NUMBER_TYPES, Price
from sparkllm.backend.placement.measured import MeasuredRate
from sparkllm.backend.placement.toml_lines import line_of
from sparkllm.errors import ConfigError

__all__ = ["Entries"]

Where = tuple[str | int, ...]
_Check = tuple[str, Callable[[Any], bool]]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _date(value: Any) -> bool:
    return isinstance(value, datetime.date) or bool(re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", str(value)))


_NUMBER: _Check = ("a number above 0", _number)
_WHOLE: _Check = ("a whole number, 1 or more", _whole)
_SHARE: _Check = ("a number from 0 to below 1", lambda v: isinstance(v, int | float) and 0 <= v < 1)
_TEXT: _Check = ("a text", lambda v: isinstance(v, str) and bool(v))
_TABLE: _Check = ("a table", lambda v: isinstance(v, dict))
_GPU: dict[str, _Check] = {
    "memory_gib": _NUMBER,
    "bandwidth_gb_s": _NUMBER,
    "tflops": _TABLE,
    "link_gb_s": _NUMBER,
    "per_host": _WHOLE,
    "resource": ("letters, digits and _", lambda v: isinstance(v, str) and bool(re.fullmatch(r"\w+", v))),
    "label": ("a label as key=value", lambda v: isinstance(v, str) and bool(re.fullmatch(r"[^=\s]+=[^=\s]+", v))),
    "price": _TABLE,
}
_PRICE = {"usd_per_hour": _NUMBER, "source": _TEXT, "date": ("a date as YYYY-MM-DD, YYYY-MM or YYYY", _date)}
_MEASURED = {
    "model": _TEXT,
    "gpu": _TEXT,
    "tensor_parallel": _WHOLE,
    "input_tokens": _NUMBER,
    "output_tokens": _NUMBER,
    "rows_per_second": _NUMBER,
    "prefix_hits": _SHARE,
    "source": _TEXT,
}
_OPTIONAL = {"price", "tensor_parallel", "prefix_hits"}


@dataclass(frozen=True)
class Entries:
    """One catalogue file as it was read; every method raises ConfigError for a wrong entry.

    Attributes:
        file: its name, for messages.
        text: what it holds.
        values: the same as tables.
    """

    file: str
    text: str
    values: Mapping[str, Any]

    def check(self) -> None:
        """Keys and values, one by one; what is missing shows when the entries are merged."""
        self._keys((), self.values, {"gpu": _TABLE, "measured": ("tables [[measured]]", _tables)})
        for name, entry in self.values.get("gpu", {}).items():
            where: Where = ("gpu", name)
            self._is(where, entry, _TABLE)
            self._keys(where, entry, _GPU)
            self._keys((*where, "tflops"), entry.get("tflops", {}), dict.fromkeys(NUMBER_TYPES, _NUMBER))
            self._keys((*where, "price"), entry.get("price", {}), _PRICE)
        for place, entry in enumerate(self.values.get("measured", [])):
            self._keys(("measured", place), entry, _MEASURED)
            self._has(("measured", place), entry, _MEASURED)

    def gpu(self, name: str, entry: Mapping[str, Any]) -> GPU:
        """The type of an entry that holds every key, those of the built-in catalogue included."""
        where: Where = ("gpu", name)
        self._has(where, entry, _GPU)
        self._has((*where, "tflops"), entry["tflops"], ["fp16"])
        price = entry.get("price")
        if price is not None:
            self._has((*where, "price"), price, _PRICE)
            price = Price(float(price["usd_per_hour"]), price["source"], str(price["date"]))
        return GPU(**{**entry, "name": name, "price": price, "tflops": dict(entry["tflops"])})

    def measured(self, known: Iterable[str]) -> tuple[MeasuredRate, ...]:
        """The measured rates; each of a type of the catalogue."""
        entries = self.values.get("measured", [])
        for place, entry in enumerate(entries):
            if entry["gpu"] not in set(known):
                raise self._wrong(("measured", place, "gpu"), f"one of {', '.join(known)}", entry["gpu"])
        return tuple(MeasuredRate(**entry) for entry in entries)

    def _keys(self, where: Where, entry: Mapping[str, Any], checks: Mapping[str, _Check]) -> None:
        for key, value in entry.items():
            if key not in checks:
                near = difflib.get_close_matches(key, checks, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise self._wrong((*where, key), f"one of {', '.join(checks)}", key, hint)
            self._is((*where, key), value, checks[key])

    def _is(self, where: Where, value: Any, check: _Check) -> None:
        expected, holds = check
        if not holds(value):
            raise self._wrong(where, expected, value)

    def _has(self, where: Where, entry: Mapping[str, Any], keys: Iterable[str]) -> None:
        missing = [key for key in keys if key not in entry and key not in _OPTIONAL]
        if missing:
            raise self._wrong(where, f"also {', '.join(missing)}", ", ".join(entry) or "nothing")

    def _wrong(self, where: Where, expected: str, found: Any, hint: str = "") -> ConfigError:
        name = ".".join(map(str, where))
        return ConfigError(
            f"{self.file}, line {line_of(self.text, where)}, {name}: expected {expected}, found {found!r}{hint}"
        )


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
