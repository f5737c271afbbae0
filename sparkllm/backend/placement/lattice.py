"""Whole points between half-spaces."""

from __future__ import annotations

import numpy as np

__all__ = ["UndecidedError", "lattice"]

_MOST = 2_000_000  # numbers, a point times a half-space, that are kept at once
_SLACK = 1e-9


class UndecidedError(Exception):
    """More points than are worth counting; or a linear program that the solver gives up."""


def lattice(low: np.ndarray, high: np.ndarray, normals: np.ndarray, least: np.ndarray) -> np.ndarray:
    """All whole points with `low <= point <= high` and `normals @ point >= least`, float64 [n, g].

    One coordinate after the other, the narrowest first: of those already set, and of the most that the others can add,
    each half-space says from where to where the next may go.

    Raises:
        UndecidedError: to be counted in a reasonable time.

    >>> lattice(np.zeros(2), np.array([2.0, 3.0]), np.array([[1.0, 1.0], [-1.0, -2.0]]), np.array([3.0, -4.5])).tolist()
    [[2.0, 1.0]]
    """
    order = np.argsort(high - low, kind="stable")
    added = np.maximum(normals * low, normals * high)
    spare = (added.sum(axis=1) - least)[None]
    points = np.empty((1, 0))
    for kind in order:
        normal = normals[:, kind]
        spare = spare - added[:, kind]
        first, last = _interval(spare, normal, low[kind], high[kind])
        count = np.maximum(last - first + 1, 0).astype(np.int64)
        if count.sum() * len(normals) > _MOST:
            raise UndecidedError
        parent = np.repeat(np.arange(len(spare)), count)
        value = first[parent] + np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
        spare = spare[parent] + value[:, None] * normal
        points = np.column_stack([points[parent], value])
    return points[:, np.argsort(order, kind="stable")]


def _interval(spare: np.ndarray, normal: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """From where to where, for each point, no half-space is left, [n] each."""
    rises, falls = normal > 0, normal < 0
    first = (-spare[:, rises] / normal[rises]).max(axis=1, initial=-np.inf)
    last = (-spare[:, falls] / normal[falls]).min(axis=1, initial=np.inf)
    out = (spare[:, normal == 0] < -_SLACK).any(axis=1)
    last = np.where(out, -np.inf, np.floor(last + _SLACK))
    return np.maximum(np.ceil(first - _SLACK), low), np.minimum(last, high)
