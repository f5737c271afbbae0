"""Rule: where several calls ask about the same fields, which comes first in a prompt, the instruction or the data.

    Is it good?                        {"review": "Boils fast"}

    {"review": "Boils fast"}           Is it good?

A KV cache serves what stands in front. With the instruction first that is the instruction, and as much data as a row
shares with the one before it in the sorted order; every call computes the rest of the data anew. With the data first,
the second call finds all of the row's data where the first has left it, and every call computes its instruction for
every row. Expected tokens computed for `rows` distinct rows, of which `share[i]` reach call i (the first: all):

    instruction first  sum(instruction[i]) + rows * sum(share[i] * (unshared + overhead))
    data first         rows * (unshared + sum(share[i] * (instruction[i] + overhead)))
    unshared           data * (1 - shared)
    overhead           block / 2 + tail

Whole blocks are cached, so half a block is computed again on average, and the tail of the chat frame always is.

The second call must come while the data is still there: `window_rows` bounds what lies between the two. A cache too
small for that (`survives` false) makes data first dearer than instruction first, as each call then computes the data
and its instruction.

catalyst/Layout.scala decides by the same model inside Spark, in bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["LEAST_SAVING", "Workload", "computed_tokens", "data_first", "least_data", "saving", "window_rows"]

LEAST_SAVING = 0.2  # answers may change with the layout: not for a few tokens
# Windows between a row's first call and its second: the one it is in, the one sent after it, the one that Spark passes
# on, and the one that the second call waits for.
_WINDOWS_BETWEEN = 4


@dataclass(frozen=True)
class Workload:
    """Calls on the same fields.

    Attributes:
        instructions: tokens of each call's instruction.
        shares: share of the rows that reach each call, 0..1; the first is 1.
        rows: distinct rows.
        data: mean tokens of a row's data.
        shared: share of those that sorted rows have in common with the row before them, 0..1.
        block: tokens of a cache block.
        tail: tokens of the chat frame behind the prompt.
        survives: a row's blocks are still cached when the next call reads them.
    """

    instructions: tuple[float, ...]
    shares: tuple[float, ...]
    rows: int
    data: float
    shared: float = 0.0
    block: int = 16
    tail: int = 5
    survives: bool = True

    @property
    def overhead(self) -> float:
        """Tokens computed for every prompt in either layout."""
        return self.block / 2 + self.tail

    @property
    def unshared(self) -> float:
        """Tokens of a row's data that no row before it has left in the cache."""
        return self.data * (1 - self.shared)


def computed_tokens(work: Workload, data_first: bool) -> float:
    """Prompt tokens that the engine computes, those from its cache not counted.

    >>> work = Workload(instructions=(20, 30), shares=(1, 1), rows=1000, data=200, block=16, tail=5)
    >>> computed_tokens(work, data_first=False), computed_tokens(work, data_first=True)
    (426050.0, 276000.0)
    """
    asked = sum(work.shares)
    if not data_first:
        return sum(work.instructions) + work.rows * asked * (work.unshared + work.overhead)
    pairs = zip(work.instructions, work.shares, strict=True)
    each = sum(share * (instruction + work.overhead) for instruction, share in pairs)
    return work.rows * (work.unshared * (1 if work.survives else asked) + each)


def saving(work: Workload) -> float:
    """Share of the computed prompt tokens that data first saves; negative where it costs more."""
    first = computed_tokens(work, data_first=False)
    return 1 - computed_tokens(work, data_first=True) / first if first else 0.0


def data_first(work: Workload, least: float = LEAST_SAVING) -> bool:
    """Whether the data goes first.

    >>> data_first(Workload((20, 30), (1, 1), 1000, data=200)), data_first(Workload((20, 30), (1, 1), 1000, data=30))
    (True, False)
    """
    return saving(work) >= least


def least_data(
    instructions: tuple[float, ...], shares: tuple[float, ...], overhead: float, least: float = LEAST_SAVING
) -> float:
    """The fewest unshared data (tokens or bytes, as the arguments) from which data first saves `least`.

    The instructions of instruction first, computed once for all rows, are left out.

    >>> round(least_data((20, 30), (1, 1), 13))
    92
    >>> least_data((20,), (1,), 13)
    inf
    """
    asked = sum(shares)
    gain = asked * (1 - least) - 1
    cost = sum(i * share for i, share in zip(instructions, shares, strict=True)) + asked * overhead * least
    return cost / gain if gain > 0 else math.inf


def window_rows(cache_tokens: int, tasks: int, row_tokens: float) -> int:
    """Rows of a window, such that the next call reads a row's blocks before newer ones have taken their place.

    Four windows lie between the two, in each of `tasks` tasks that share the cache; a row has `row_tokens`, its answer
    included. 0: not even single rows fit, and
    the data does not survive.

    >>> window_rows(cache_tokens=1_900_000, tasks=16, row_tokens=220), window_rows(8_000, 16, 220)
    (134, 0)
    """
    return int(cache_tokens / (_WINDOWS_BETWEEN * max(1, tasks) * max(1.0, row_tokens)))
