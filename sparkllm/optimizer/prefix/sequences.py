"""Sequences of whole numbers (token ids, code points) and what each has in common with an earlier one.

Sorted sequences share the longest prefixes with their neighbours, so one sort tells all of a trie without building it:
the trie of all sequences has `total - sum(common prefixes of neighbours)` nodes (GGR's authors count by such a trie).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa

__all__ = ["Sequences", "longest_earlier", "sorted_common"]

_ITEMS = 32  # compared at a time
_PAIRS = 1 << 16  # compared at a time: a table of _PAIRS x _ITEMS positions stays small


@dataclass(frozen=True)
class Sequences:
    """Sequences of different lengths, one behind the other.

    Attributes:
        items: int32 or uint32 [all items], none negative.
        offsets: int64 [n + 1]; sequence i is items[offsets[i]:offsets[i + 1]].
    """

    items: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, sequences: pa.ListArray | Iterable[Sequence[int]]) -> Sequences:
        """From Arrow list<int32> (no copy) or from Python lists.

        >>> Sequences.of([[5, 6], [], [7]]).offsets.tolist()
        [0, 2, 2, 3]
        """
        if isinstance(sequences, pa.ListArray):
            return cls(sequences.values.to_numpy(), sequences.offsets.to_numpy().astype(np.int64))
        lists = list(sequences)
        offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        items = np.fromiter(chain.from_iterable(lists), dtype=np.int32, count=int(offsets[-1]))
        return cls(items, offsets)

    def to_arrow(self) -> pa.ListArray:
        """As Arrow list<int32>; fewer than 2**31 items."""
        return pa.ListArray.from_arrays(pa.array(self.offsets.astype(np.int32)), pa.array(self.items.astype(np.int32)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.items[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Items of each sequence, int64 [n]."""
        return np.diff(self.offsets)

    def then(self, others: Sequences) -> Sequences:
        """These and behind them the others."""
        offsets = np.concatenate([self.offsets, self.offsets[-1] + others.offsets[1:]])
        return Sequences(np.concatenate([self.items, others.items]), offsets)

    def take(self, which: np.ndarray) -> Sequences:
        """The chosen sequences, each as often as it is named."""
        lengths = self.lengths[which]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        moved = np.repeat(self.offsets[which] - offsets[:-1], lengths)
        return Sequences(self.items[np.arange(len(moved)) + moved], offsets)


def sorted_common(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Sort them.

    Returns:
        order: the sequences in lexicographic order, equal ones in theirs, int64 [n].
        common: length of the prefix that sorted sequence i shares with the one before it, 0 for the first, int64 [n].
    """
    raw, ends = sequences.items.astype(">u4").tobytes(), (sequences.offsets * 4).tolist()
    keys = [raw[begin:end] for begin, end in pairwise(ends)]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
    begins, lengths = sequences.offsets[:-1][order], sequences.lengths[order]
    common = np.zeros(len(order), dtype=np.int64)
    for i in range(1, len(order), _PAIRS):
        pairs = slice(i, min(i + _PAIRS, len(order)))
        before = slice(i - 1, pairs.stop - 1)
        most = np.minimum(lengths[before], lengths[pairs])
        common[pairs] = _common(sequences.items, begins[before], begins[pairs], most)
    return order, common


def _common(items: np.ndarray, left: np.ndarray, right: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Length of the common prefix of `most` items from each `left` and `right`."""
    common = np.zeros(len(left), dtype=np.int64)
    active, ahead = np.flatnonzero(most), np.arange(_ITEMS)
    while len(active):
        at = common[active, None] + ahead
        inside = at < most[active, None]
        at = np.where(inside, at, 0)
        same = inside & (items[left[active, None] + at] == items[right[active, None] + at])
        run = np.where(same.all(axis=1), _ITEMS, same.argmin(axis=1))
        common[active] += run
        active = active[run == _ITEMS]
    return common


def longest_earlier(sequences: Sequences) -> np.ndarray:
    """Length of the longest prefix that each sequence shares with any earlier one, int64 [n].

    Sequences leave the sorted list, the last one first; then a sequence's neighbours in what is left of the list are
    the earlier ones that share most with it.

    >>> longest_earlier(Sequences.of([[1, 2, 3], [1, 2], [2], [1, 2, 4], [1, 2, 3]])).tolist()
    [0, 2, 0, 2, 3]
    """
    order, common = sorted_common(sequences)
    n = len(order)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    shared = [*common.tolist(), 0]  # with the one before it in the list; behind the last there is nothing
    before, after, longest = list(range(-1, n)), list(range(1, n + 2)), [0] * n
    for sequence, at in zip(range(n - 1, -1, -1), place[::-1].tolist(), strict=True):
        left, right = before[at], after[at]
        longest[sequence] = max(shared[at], shared[right])
        shared[right] = min(shared[at], shared[right])
        after[left], before[right] = right, left
    return np.array(longest, dtype=np.int64)
