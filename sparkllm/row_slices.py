"""Some rows of a call as its tasks will have them: pieces of the one order that all rows are brought into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["asked_rows", "row_slices", "some_rows"]

SLICES = 8
_MOST_PARTS = 2000  # of Spark's sort
_PLACE_BITS = 33  # of monotonically_increasing_id, for the place in a partition


def asked_rows(frame: DataFrame, once: bool) -> DataFrame:
    """Rows with any text: no others are asked about. Equal ones once where they are one prompt."""
    from pyspark.sql import functions as F

    asked = frame.where(F.coalesce(*(frame[name] for name in frame.columns)).isNotNull())
    return asked.distinct() if once else asked


def row_slices(frame: DataFrame, order: Sequence[int], rows: int, total: int) -> list[Any]:
    """About `rows` rows, in eight pieces of neighbours, spread evenly over all rows in order; Spark sorts all of them.

    Args:
        frame: the call's fields as texts, one column each; the rows that are asked about.
        order: columns, the most significant first.
        rows: how many are wanted.
        total: how many there are.
    """
    from pyspark.sql import functions as F

    columns = [frame.columns[i] for i in order]
    each = max(1, rows // SLICES)
    parts = min(max(SLICES, -(-total // each)), _MOST_PARTS)
    chosen = [int((piece + 0.5) * parts / SLICES) for piece in range(SLICES)]
    place = F.monotonically_increasing_id()
    # Spark makes no two ranges of equal rows: without a tie-breaker, few values are few parts, of any size
    tied = frame.withColumn("tie", place).repartitionByRange(parts, *columns, "tie")
    ordered = tied.sortWithinPartitions(*columns).withColumn("at", place)
    part, within = F.shiftright("at", _PLACE_BITS), F.col("at").bitwiseAND(F.lit((1 << _PLACE_BITS) - 1))
    return ordered.where(part.isin(chosen) & (within < each)).drop("at", "tie").collect()


def some_rows(frame: DataFrame, rows: int, total: int) -> list[Any]:
    """About `rows` rows taken by chance, the same ones each time."""
    return frame.sample(fraction=min(1.0, rows / max(1, total)), seed=0).limit(2 * rows).collect()
