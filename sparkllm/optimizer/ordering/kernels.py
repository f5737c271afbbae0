"""The inner loops: compiled by numba where it is installed, in NumPy where it is not, with exactly the same result."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparkllm.optimizer.ordering import vectorised_greedy, vectorised_text

__all__ = ["Kernels", "kernels", "warm_up"]


@dataclass(frozen=True)
class Kernels:
    """One implementation of the inner loops; each is described in the module `vectorised_...` that holds it."""

    name: str
    greedy: Callable[..., np.ndarray]
    common_prefix: Callable[..., np.ndarray]


VECTORISED = Kernels("numpy", vectorised_greedy.greedy, vectorised_text.common_prefix)
