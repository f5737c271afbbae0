"""The two kinds of arrays that this package computes with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Ints"]

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
