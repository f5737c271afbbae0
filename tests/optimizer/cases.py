"""Cases from the data files beside the tests, each named by its claim."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

__all__ = ["cases", "read_cases"]


def read_cases(name: str, part: str | None = None) -> list[dict[str, Any]]:
    """All cases of a file, or those of one of its parts."""
    found = json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return found if part is None else found[part]


def cases(name: str, part: str | None = None) -> list[Any]:
    return [pytest.param(case, id=case["claim"]) for case in read_cases(name, part)]
