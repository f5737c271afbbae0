"""Rule: the one field order of a query that shares the most prefix bytes between its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkllm.optimizer.encode import Encoded
from sparkllm.optimizer.prefix.groups import hit_bytes, refine

__all__ = ["order_fields"]

_BEAM = 16


@dataclass(frozen=True)
class _Prefix:
    order: tuple[int, ...]
    groups: np.ndarray  # rows that agree on every field of `order`
    hits: int


def order_fields(table: Encoded, fixed: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Choose the field order by joint counts of column sets.

    What a column adds behind a set of columns depends on the set alone, not on its order, so a beam search over sets
    is enough (exact where the beam holds every set). Marginal counts do not find it: with them 52 % of the beer
    table's cells are hits, with joint counts 69 %.

    Args:
        table: distinct rows (what is sent), [rows, columns].
        fixed: columns whose place in front is given, such as those a template puts into the instruction.

    Returns:
        Every column once: `fixed`, then the rest; columns that add nothing keep the order of the query.

    Limits: one order for all rows (a row's prompt never depends on its neighbours); shared beginnings of different
    values are not counted.

    >>> from sparkllm.optimizer.encode import encode
    >>> import pyarrow as pa
    >>> order_fields(encode([pa.array(["1", "2", "3"]), pa.array(["xxx", "xxx", "yyy"])], 3))
    (1, 0)
    """
    start = _Prefix((), np.zeros(len(table.codes), dtype=np.int64), 0)
    for column in fixed:
        start = _extend(table, start, column)
    given = start
    for column in _rest(table, start):
        given = _extend(table, given, column)
    best = _search(table, start)
    return best.order if best.hits > given.hits else given.order


def _search(table: Encoded, start: _Prefix) -> _Prefix:
    beam = [start]
    best = start
    width = max(1, min(_BEAM, 160 // max(1, table.codes.shape[1])))
    while beam:
        layer: dict[frozenset[int], _Prefix] = {}
        for prefix in beam:
            for column in _rest(table, prefix):
                longer = _extend(table, prefix, column)
                rival = layer.get(key := frozenset(longer.order))
                if longer.hits > prefix.hits and (rival is None or longer.hits > rival.hits):
                    layer[key] = longer
        beam = sorted(layer.values(), key=lambda p: (-p.hits, p.order))[:width]
        best = max([best, *beam], key=lambda p: p.hits)
    return _Prefix(best.order + tuple(_rest(table, best)), best.groups, best.hits)


def _extend(table: Encoded, prefix: _Prefix, column: int) -> _Prefix:
    codes = table.codes[:, column]
    groups = refine(prefix.groups, codes)
    return _Prefix((*prefix.order, column), groups, prefix.hits + hit_bytes(groups, codes, table.lengths[column]))


def _rest(table: Encoded, prefix: _Prefix) -> list[int]:
    return [c for c in range(table.codes.shape[1]) if c not in prefix.order]
