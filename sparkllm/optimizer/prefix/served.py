"""The result of every evaluator: what the cache serves of each prompt, with and without what all of them begin with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Served"]


@dataclass(frozen=True)
class Served:
    """Prefix hits of prompts in the order in which they are sent; the unit is the evaluator's.

    Attributes:
        hits: served from the cache, int64 [n].
        total: length of each prompt, int64 [n].
        static: length of each prompt's beginning that no field can change (chat frame, instruction), int64 [n]; it
            adds the same hits to nearly every prompt and flatters the rate, so report `data_rate`.
    """

    hits: np.ndarray
    total: np.ndarray
    static: np.ndarray

    @classmethod
    def of(cls, hits: np.ndarray, total: np.ndarray, static: int | np.ndarray = 0) -> Served:
        """Where `static` is one number, it is that of all prompts."""
        return cls(*(np.broadcast_to(part, np.shape(total)).astype(np.int64) for part in (hits, total, static)))

    @classmethod
    def behind(cls, hits: np.ndarray, total: np.ndarray, static: int) -> Served:
        """Of data that stands behind `static`, which the first prompt leaves in the cache for all others."""
        return cls.of(hits + static * (np.arange(len(total)) > 0), total + static, static)

    @property
    def data_hits(self) -> np.ndarray:
        """Hits behind the static beginning, int64 [n]."""
        return np.maximum(0, self.hits - self.static)

    @property
    def rate(self) -> float:
        """Share of the whole prompts that the cache serves: 0..1.

        >>> Served.of(np.array([0, 6, 4]), np.array([10, 10, 10]), 4).rate
        0.3333333333333333
        """
        return _share(self.hits, self.total)

    @property
    def data_rate(self) -> float:
        """The same without the static beginning: 0..1.

        >>> Served.of(np.array([0, 6, 4]), np.array([10, 10, 10]), 4).data_rate
        0.1111111111111111
        """
        return _share(self.data_hits, self.total - self.static)


def _share(hits: np.ndarray, total: np.ndarray) -> float:
    whole = int(total.sum())
    return int(hits.sum()) / whole if whole else 0.0
