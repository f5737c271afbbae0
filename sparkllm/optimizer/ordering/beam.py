"""Beam search over column sets: the one field order of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sparkllm.optimizer.ordering.counts import Counts

__all__ = ["best_field_order"]

_BEAM = 16


@dataclass(frozen=True)
class _Prefix:
    order: tuple[int, ...]
    hits: float
    state: Any


def best_field_order(counts: Counts, columns: int, fixed: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The order whose sorted rows share the most, `fixed` in front; columns that add nothing keep their order.

    What a column adds behind a set of columns depends on the set alone, not on its order: the sum of its lengths over
    the rows less that over the distinct rows of the set with it. So a beam over sets is enough, and is exact where it
    holds every set. Marginal counts do not find the order: with them 52 % of the beer table's cells are hits, with
    joint counts 69 %.
    """
    start = _Prefix((), 0, counts.start())
    for column in fixed:
        start = _place(counts, start, column, counts.gains(start.state, [column])[0])
    given = start
    for column in _rest(start.order, columns):
        given = _place(counts, given, column, counts.gains(given.state, [column])[0])
    best = _search(counts, columns, start)
    return best.order + tuple(_rest(best.order, columns)) if best.hits > given.hits else given.order


def _search(counts: Counts, columns: int, start: _Prefix) -> _Prefix:
    beam, best = [start], start
    width = max(1, min(_BEAM, 160 // max(1, columns)))
    while beam:
        layer: dict[frozenset[int], tuple[float, tuple[int, ...], _Prefix, float]] = {}
        for prefix in beam:
            rest = _rest(prefix.order, columns)
            for column, gain in zip(rest, counts.gains(prefix.state, rest) if rest else [], strict=True):
                order, hits = (*prefix.order, column), prefix.hits + gain
                rival = layer.get(key := frozenset(order))
                if gain > 0 and (rival is None or hits > rival[0]):
                    layer[key] = hits, order, prefix, gain
        chosen = sorted(layer.values(), key=lambda entry: (-entry[0], entry[1]))[:width]
        beam = [_place(counts, prefix, order[-1], gain) for _, order, prefix, gain in chosen]
        best = max([best, *beam], key=lambda prefix: prefix.hits)
    return best


def _place(counts: Counts, prefix: _Prefix, column: int, gain: float) -> _Prefix:
    return _Prefix((*prefix.order, column), prefix.hits + gain, counts.place(prefix.state, column))


def _rest(order: tuple[int, ...], columns: int) -> list[int]:
    placed = set(order)
    return [column for column in range(columns) if column not in placed]
