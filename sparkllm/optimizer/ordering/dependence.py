"""Which columns follow from another one, measured on the rows: no hints, and a few wrong values do no harm."""

from __future__ import annotations

import numpy as np

from sparkllm.optimizer.encode import NULL
from sparkllm.optimizer.ordering.cells import FOLLOWS_UNIT, Cells
from sparkllm.optimizer.ordering.kernels import Kernels
from sparkllm.optimizer.ordering.sample import SampledCounts

__all__ = ["follows"]

_CELLS = 1 << 17  # of a sample
_LEAST_ROWS = 1 << 10


def follows(cells: Cells, kernels: Kernels) -> np.ndarray:
    """What a row that repeats a value of column c is expected to share of column d too, beyond chance.

    d follows from c where two rows that agree on c agree on d far more often than any two rows: kappa, the share of the
    disagreements of chance that are gone, is above one half (1: a functional dependency, 0: independent columns). Each
    row of a value of c counts once, however many rows hold the value; nulls of c say nothing.

    Returns:
        int64 [m, m]: kappa times the mean length of d's cells, in 1/1024 of the unit of the lengths; 0 where d does not
        follow from c, or is c. The order of the rows makes no difference.

    Limits: counted on a sample that keeps the rows of a value together (`sample`), of at least 1,024 rows.

    Source: Cohen, "A coefficient of agreement for nominal scales" (1960).

    >>> from sparkllm.optimizer.ordering.kernels import VECTORISED
    >>> codes = np.array([[1, 1, 1], [1, 1, 2], [2, 1, 3], [2, 1, 4], [3, 2, 5], [3, 2, 6]])
    >>> (follows(Cells.of(codes, [[0, 8, 8, 8], [0, 2, 2], [0] + [5] * 6]), VECTORISED) // 1024).tolist()
    [[0, 2, 0], [0, 0, 0], [0, 0, 0]]
    """
    m = cells.columns
    counts = SampledCounts(cells, kernels, max(_LEAST_ROWS, _CELLS // max(1, m)))
    found, some = np.zeros((m, m), dtype=np.int64), np.flatnonzero(counts.repeated)
    chance, means = counts.agreement[some], counts.totals[some] / max(1, cells.rows)
    for column in some:
        agree = _agreement(*counts.groups(int(column)), int(column), some, kernels)
        kappa = (agree - chance) / np.maximum(1 - chance, 1e-9)
        found[column, some] = np.where(kappa > 0.5, np.rint(FOLLOWS_UNIT * np.minimum(1, kappa) * means), 0)
        found[column, column] = 0
    return found


def _agreement(
    sample: Cells, rows: np.ndarray, starts: np.ndarray, by: int, columns: np.ndarray, kernels: Kernels
) -> np.ndarray:
    """float64 [columns]: the chance that a row agrees with another one of its group (rows that agree on `by`)."""
    sizes = np.diff(starts)
    known = sample.codes[rows[starts[:-1]], by] != NULL
    if not known.any():
        return np.zeros(len(columns))
    pairs = kernels.agreeing_pairs(sample, rows, starts, columns)[:, known]
    return (pairs / (sizes[known] - 1)).sum(axis=1) / sizes[known].sum()
