"""Loops that NumPy cannot express: compiled with numba where it is installed (it comes with vLLM), else plain Python.

Import this only where such a loop runs: loading numba takes longer than a small window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["COMPILED", "compiled"]

F = TypeVar("F", bound=Callable[..., Any])

try:
    import numba
except ImportError:
    COMPILED = False
else:
    COMPILED = True


def compiled(function: F) -> F:
    """The same function as machine code, kept in a file for the next process."""
    return numba.njit(cache=True)(function) if COMPILED else function
