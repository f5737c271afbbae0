"""Prompts of a call by the bytes of their fields: counted in a sample or, by Spark, in all rows; no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["Sizes", "count"]

_STEPS = 2  # classes for each doubling of the bytes
_LITTLE = 0.02  # of all work, that is worth no class of its own
_ERROR = 0.02  # relative, of Spark's count of distinct prompts


@dataclass(frozen=True, eq=False)
class Sizes:
    """Classes of size, the smallest first, [s].

    Attributes:
        step: class number, int64: bytes lie between 2^((step - 1) / 2) and 2^(step / 2).
        most: the most bytes of any prompt, int64.
        mean: mean bytes, float64.
        rows: rows that are asked about, float64.
        distinct: prompts for them, float64; equal rows have equal bytes, so no two classes share one.
    """

    step: np.ndarray
    most: np.ndarray
    mean: np.ndarray
    rows: np.ndarray
    distinct: np.ndarray

    @classmethod
    def of(cls, sizes: np.ndarray) -> Sizes:
        """Of prompts that were all looked at, by their bytes, int64 [k]; each counts once.

        >>> found = Sizes.of(np.array([3, 100, 101, 128, 5000]))
        >>> found.most.tolist(), found.rows.tolist()
        ([3, 128, 5000], [1.0, 3.0, 1.0])
        """
        step, place = np.unique(np.ceil(_STEPS * np.log2(np.maximum(sizes, 1))), return_inverse=True)
        rows = np.bincount(place, minlength=len(step)).astype(float)
        most = np.zeros(len(step), dtype=np.int64)
        np.maximum.at(most, place, sizes)
        mean = np.bincount(place, sizes, len(step)) / np.maximum(rows, 1)
        return cls(step.astype(np.int64), most, mean, rows, rows)

    @classmethod
    def together(cls, parts: Sequence[Sizes]) -> Sizes:
        """Of several calls that are written alike, over rows of their own."""
        step, place = np.unique(np.concatenate([part.step for part in parts]), return_inverse=True)
        return _grouped(parts, step.astype(np.int64), place)

    def each(self) -> Sizes:
        """The same where every row is asked for itself."""
        return replace(self, distinct=self.rows)

    def times(self, share: float) -> Sizes:
        """The same with a share of the rows; where equal rows are dropped together, of the distinct ones too."""
        return replace(self, rows=self.rows * share, distinct=self.distinct * share)

    def cut(self, classes: int, overhead: float) -> Sizes:
        """At most so many, by joining the neighbours that hold the least of the work, and those that hold very little.

        Args:
            classes: most of them.
            overhead: bytes' worth of what each prompt has beside its fields.
        """
        work = (self.distinct * (self.mean + overhead)).tolist()
        group, little = np.arange(len(work)), _LITTLE * sum(work)
        while len(work) > 1:
            pairs = np.add(work[1:], work[:-1])
            least = int(np.argmin(pairs))
            if len(work) <= classes and pairs[least] > little:
                break
            work[least : least + 2] = [work[least] + work[least + 1]]
            group = np.where(group > least, group - 1, group)
        return _grouped([self], np.unique(group), group)


def count(frame: DataFrame, together: bool = True, exact: bool = False) -> Sizes:
    """Of all rows; one Spark job over them. Distinct prompts are counted to about 2 % (HyperLogLog++), or exactly.

    Args:
        frame: the call's fields as texts, one column each; rows without any text are not asked.
        together: equal prompts meet in one task; else each task asks its own, and has the rows that a task of this
            job has.
        exact: count by the texts themselves, which Spark then sends between its tasks.
    """
    from pyspark.sql import functions as F

    texts = [frame[name] for name in frame.columns]
    size = sum((F.coalesce(F.octet_length(text), F.lit(0)) for text in texts), F.lit(0))
    task = [] if together else [F.spark_partition_id()]
    # hashing skips nulls, so that ('a', null) and (null, 'a') would be one
    prompt = F.struct(*texts, *task) if exact else F.xxhash64(*texts, *(text.isNull() for text in texts), *task)
    different = F.count_distinct("prompt") if exact else F.approx_count_distinct("prompt", _ERROR)
    asked = frame.where(F.coalesce(*texts).isNotNull()).select(size.alias("bytes"), prompt.alias("prompt"))
    bytes_ = F.col("bytes")
    found = (
        asked.groupBy(F.ceil(_STEPS * F.log2(F.greatest(bytes_, F.lit(1)))).alias("step"))
        .agg(F.max(bytes_), F.avg(bytes_), F.count(F.lit(1)), different)
        .orderBy("step")
        .collect()
    )
    step, most, mean, rows, distinct = np.array(found, dtype=float).reshape(-1, 5).T
    return Sizes(step.astype(np.int64), most.astype(np.int64), mean, rows, np.minimum(distinct, rows))


def _grouped(parts: Sequence[Sizes], step: np.ndarray, place: np.ndarray) -> Sizes:
    """The classes of all parts, one after the other, as groups: class i is of group place[i]."""

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, values, len(step))

    rows, distinct, mean, most = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "distinct", "mean", "most")
    )
    largest = np.zeros(len(step), dtype=np.int64)
    np.maximum.at(largest, place, most)
    prompts = summed(distinct)
    return Sizes(step, largest, summed(mean * distinct) / np.maximum(prompts, 1e-9), summed(rows), prompts)
