"""What is said about an order: where it is cut for several engines, and what no order can exceed."""

from __future__ import annotations

from itertools import pairwise, permutations, product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.optimizer.ordering import bounds as bounds_module
from sparkllm.optimizer.ordering import order, ranges, upper_bounds
from sparkllm.optimizer.ordering.order import MODES
from tests.optimizer.ordering_tables import by_hand, random_table, tables


def grouped(rows: int, of_each: int) -> pa.Table:
    return pa.table(
        {
            "n": [f"{i:06}" for i in range(rows)],
            "group": [f"a long text that {of_each} rows share, {i // of_each:05}" for i in range(rows)],
        }
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.integers(1, 12), st.integers(1, 1500))
def test_ranges_cover_all_rows_once_and_are_balanced(seed: int, n: int, rows: int) -> None:
    table = random_table(seed, rows, 4)
    ordering = order(table, "fast")
    cuts = ranges(ordering, table, n)
    assert cuts[0] == 0
    assert cuts[-1] == rows
    assert len(cuts) - 1 == max(1, min(n, rows // 100))
    lengths = np.array([sum(len(v) for v in row.values()) for row in table.to_pylist()])[ordering.rows]
    parts = np.add.reduceat(lengths, cuts[:-1])
    assert (np.diff(cuts) > 0).all()
    assert parts.max() <= 1.1 * parts.mean() + lengths.max()


def test_cuts_fall_where_little_is_shared() -> None:
    table = grouped(4000, 5)
    ordering = order(table)
    for n in (3, 7, 16, 40):
        cuts = ranges(ordering, table, n)
        assert (cuts % 5 == 0).all()
        separate = sum(by_hand(table, ordering.rows[a:b], ordering.fields) for a, b in pairwise(cuts))
        assert separate > 0.999 * ordering.hits  # only "a long text that ... share" before the number differs


def test_few_rows_are_not_cut() -> None:
    table = grouped(150, 5)
    assert ranges(order(table), table, 8).tolist() == [0, 150]


def test_parts_are_balanced_by_length_not_by_rows() -> None:
    table = pa.table({"a": ["x" * (1000 if i < 200 else 10) + f"{i:04}" for i in range(1000)]})
    cuts = ranges(order(table), table, 2)
    assert 80 < min(cuts[1], 1000 - cuts[1]) < 130


def test_ranges_take_token_lengths() -> None:
    table = random_table(1, 1000, 3)
    ordering = order(table)
    lengths = np.ones(1000)
    lengths[ordering.rows[:100]] = 9.0
    assert ranges(ordering, lengths, 2).tolist() == [0, pytest.approx(100, abs=6), 1000]
    assert ranges(ordering, np.zeros(1000), 2).tolist() == [0, pytest.approx(500, abs=26), 1000]


@pytest.mark.parametrize(("n", "lengths", "said"), [(0, np.ones(2), "not 0"), (1, np.ones(3), "2 rows, not 3")])
def test_ranges_refuse_what_does_not_fit(n: int, lengths: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ranges(order(pa.table({"a": ["x", "y"]})), lengths, n)


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(MODES))
def test_no_order_exceeds_the_bounds(table: pa.Table, mode: str) -> None:
    bounds = upper_bounds(table)
    assert bounds.spanning_tree is not None
    hits = order(table, mode).hits
    assert hits <= bounds.distinct_cells
    assert hits <= bounds.spanning_tree
    assert bounds.hits == min(bounds.distinct_cells, bounds.spanning_tree)
    assert order(table, mode).hit_rate <= bounds.hit_rate <= 1


@pytest.mark.parametrize("seed", range(6))
def test_not_even_the_best_of_all_orders_exceeds_the_bounds(seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 2, (4, 2))
    table = pa.table({f"c{i}": [f"{'long' * i}{v}" for v in column] for i, column in enumerate(values.T)})
    most = 0
    for rows in permutations(range(4)):
        for fields in product(permutations(range(2)), repeat=4):
            most = max(most, by_hand(table, np.array(rows), np.array(fields)))
    assert order(table, "best").hits <= most <= upper_bounds(table).hits


def test_the_spanning_tree_is_tighter_where_values_repeat_apart() -> None:
    rows = [(f"x{i}", f"y{j}", f"z{(i + j) % 12}") for i in range(12) for j in range(12)]
    bounds = upper_bounds(pa.table({f"c{k}": list(column) for k, column in enumerate(zip(*rows, strict=True))}))
    assert bounds.spanning_tree is not None
    assert bounds.spanning_tree < 0.5 * bounds.distinct_cells


def test_large_tables_get_the_bound_that_needs_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds_module, "_PAIRS_ROWS", 10)
    monkeypatch.setattr(bounds_module, "_PAIRS_ROWS_NUMPY", 10)
    bounds = upper_bounds(random_table(1, 11, 3))
    assert bounds.spanning_tree is None
    assert bounds.hits == bounds.distinct_cells
