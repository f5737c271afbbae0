"""Small tables for the tests of the ordering engine."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from sparkllm.optimizer.ordering.cells import Cells

__all__ = ["by_hand", "orders_joined", "random_table", "shuffled", "tables"]

_VALUES = [None, "", "a", "b", "aa", "ab", "abc", "a long value", "a long tail", "é", "日本"]


@st.composite
def tables(draw: st.DrawFn, most_rows: int = 24, most_columns: int = 5) -> pa.Table:
    """Tables of strings with nulls, empty and common values, and common beginnings."""
    columns = draw(st.integers(1, most_columns))
    values = [draw(st.lists(st.sampled_from(_VALUES), min_size=1, max_size=6)) for _ in range(columns)]
    rows = draw(st.lists(st.tuples(*(st.sampled_from(v) for v in values)), min_size=1, max_size=most_rows))
    return pa.table({f"c{i}": pa.array(list(v), pa.string()) for i, v in enumerate(zip(*rows, strict=True))})


def random_table(seed: int, rows: int, columns: int) -> pa.Table:
    """Columns of few and of many values, some of which follow from others."""
    random = np.random.default_rng(seed)
    made: dict[str, pa.Array] = {}
    for i in range(columns):
        if i and random.random() < 0.3:
            made[f"c{i}"] = pa.array([f"{v[:-1]}!" for v in made[f"c{i - 1}"].to_pylist()])
        else:
            codes = random.integers(0, int(random.choice([2, 5, max(2, rows // 4), max(2, rows)])), rows)
            made[f"c{i}"] = pa.array([f"{'value ' * int(v % 3)}{v}" for v in codes])
    return pa.table(made)


def shuffled(table: pa.Table, seed: int) -> pa.Table:
    """The same rows in another order."""
    return table.take(pa.array(np.random.default_rng(seed).permutation(table.num_rows)))


def orders_joined(seed: int, wrong: float, rows: int = 1500, follow: int = 5) -> Cells:
    """A product with one long text, a customer with several short ones; `wrong` of them are another customer's."""
    random = np.random.default_rng(seed)
    customer, product = random.integers(0, 100, rows), random.integers(0, 100, rows)
    columns = [product, *(np.where(random.random(rows) < wrong, random.integers(0, 100, rows), customer)
                          for _ in range(follow)), random.integers(0, 5, rows)]  # fmt: skip
    return Cells.of(np.stack(columns, 1) + 1, [np.r_[0, np.full(100, length)] for length in (60, *[20] * follow, 4)])


def by_hand(table: pa.Table, rows: np.ndarray, fields: np.ndarray) -> int:
    """Bytes of the whole cells that each row shares with the one before it: nulls left out, counted one by one."""
    columns = [column.to_pylist() for column in table.columns]
    paths = []
    for place, row in enumerate(rows):
        order = fields if fields.ndim == 1 else fields[place]
        paths.append([(int(c), columns[c][row]) for c in order if columns[c][row] is not None])
    hits = 0
    for one, other in pairwise(paths):
        for cell, before in zip(other, one, strict=False):
            if cell != before:
                break
            hits += len(cell[1].encode())
    return hits
