"""The inner loops: compiled by numba where it is installed, in NumPy where it is not, with exactly the same result."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkllm.optimizer.ordering import (
    vectorised_bounds,
    vectorised_greedy,
    vectorised_groups,
    vectorised_sample,
    vectorised_text,
)
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.level import Level

__all__ = ["VECTORISED", "Kernels", "compiled", "kernels_for", "warm_up"]

_LITTLE_WORK = (
    1_000_000  # rows * columns^2: NumPy does that before numba is imported and its functions are read from the cache
)


@dataclass(frozen=True)
class Kernels:
    """One implementation of the inner loops; each is described in the module `vectorised_...` that holds it."""

    greedy: Callable[..., np.ndarray]
    heaviest_tree: Callable[..., int]
    common_prefix: Callable[..., np.ndarray]
    agreeing_pairs: Callable[..., np.ndarray]
    column_gains: Callable[..., np.ndarray]
    refine_groups: Callable[..., tuple[np.ndarray, np.ndarray]]
    sample_rows: Callable[..., np.ndarray]
    shared_with_previous: Callable[..., np.ndarray]


VECTORISED = Kernels(
    vectorised_greedy.greedy,
    vectorised_bounds.heaviest_tree,
    vectorised_text.common_prefix,
    vectorised_groups.agreeing_pairs,
    vectorised_groups.column_gains,
    vectorised_groups.refine_groups,
    vectorised_sample.sample_rows,
    vectorised_groups.shared_with_previous,
)
_lock = threading.Lock()
_ready: list[Kernels | None] = []  # what the first call has found


def compiled() -> Kernels | None:
    """The compiled kernels, None where numba is not installed or cannot be used.

    The first call in a process imports numba and reads its functions from the cache beside the modules (2.5 s on one
    core, of which numba's import takes 0.7); the first call after an installation compiles them (13 s).
    """
    with _lock:
        if not _ready:
            _ready.append(_try())
    return _ready[0]


def kernels_for(cells: Cells) -> Kernels:
    """Compiled, or NumPy while that takes longer than the work: the result is the same."""
    little = cells.codes.size * cells.columns < _LITTLE_WORK
    return VECTORISED if little and not _ready else compiled() or VECTORISED


def warm_up() -> threading.Thread:
    """Load or compile the kernels in the background, such as while the engine starts."""
    thread = threading.Thread(target=compiled, name="sparkllm-ordering-kernels", daemon=True)
    thread.start()
    return thread


def _try() -> Kernels | None:
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        return _run_once(_compiled())
    except (ImportError, RuntimeError):  # a numba that refuses this NumPy, or no folder it may write its cache to
        return None


def _compiled() -> Kernels:
    from sparkllm.optimizer.ordering import (
        compiled_bounds,
        compiled_greedy,
        compiled_groups,
        compiled_sample,
        compiled_text,
    )

    return Kernels(
        compiled_greedy.greedy,
        compiled_bounds.heaviest_tree,
        compiled_text.common_prefix,
        compiled_groups.agreeing_pairs,
        compiled_groups.column_gains,
        compiled_groups.refine_groups,
        compiled_sample.sample_rows,
        compiled_groups.shared_with_previous,
    )


def _run_once(kernels: Kernels) -> Kernels:
    """Each kernel on a table of one row, so that its machine code is there."""
    one, rows = np.ones((1, 1), dtype=np.int32), np.zeros(1, dtype=np.int64)
    cells, starts = Cells.of(one, [np.array([0, 1])], [pa.array(["", "x"])]), np.array([0, 1])
    kernels.greedy(Level.root(cells, rows))
    kernels.heaviest_tree(cells)
    for data in (np.frombuffer(b"x", np.uint8), np.array([120], dtype=np.uint8)):  # read-only, or not: another type
        kernels.common_prefix(data, np.array([0, 0, 1]), rows, rows)
    kernels.agreeing_pairs(cells, rows, starts, rows)
    kernels.column_gains(cells, rows, starts, rows)
    kernels.refine_groups(cells, rows, starts, 0)
    kernels.sample_rows(cells, rows, 1.0)
    kernels.shared_with_previous(cells, rows, np.zeros((1, 1), dtype=np.int16))
    return kernels
