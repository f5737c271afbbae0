"""The ordering engine at the edges: sizes, budgets, and what it refuses."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest

from sparkllm.optimizer.encode import encode
from sparkllm.optimizer.ordering import order, upper_bounds
from sparkllm.optimizer.ordering.align import align
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.kernels import VECTORISED
from sparkllm.optimizer.ordering.level import Level
from sparkllm.optimizer.ordering.order import MODES, order_cells
from sparkllm.optimizer.ordering.vectorised_greedy import Tree, greedy
from tests.optimizer.ordering_tables import random_table


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("table", [pa.table({"a": ["x"]}), pa.table({"a": pa.array([], pa.string())}), pa.table({})])
def test_tiny_tables_stay_as_they_are(table: pa.Table, mode: str) -> None:
    ordering = order(table, mode)
    assert ordering.rows.tolist() == list(range(table.num_rows))
    assert np.atleast_2d(ordering.fields)[0].tolist() == list(range(table.num_columns))
    assert ordering.hit_rate == 0


@pytest.mark.parametrize("mode", MODES)
def test_two_hundred_columns(mode: str) -> None:
    table = pa.table({f"c{i}": [f"{j % (i % 7 + 1)} of {i}" for j in range(60)] for i in range(200)})
    ordering = order(table, mode)
    assert ordering.hits > 0.9 * upper_bounds(table).hits
    assert (np.sort(np.broadcast_to(ordering.fields, (60, 200)), axis=1) == np.arange(200)).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_column_of_nulls_and_one_of_equal_values(mode: str) -> None:
    table = pa.table({"null": pa.nulls(4, pa.string()), "id": list("abcd"), "same": ["text"] * 4})
    ordering = order(table, mode)
    assert ordering.hits == 3 * len("text")


def test_record_batches_and_chunked_tables_are_one_table() -> None:
    table = random_table(5, 90, 4)
    chunked = pa.concat_tables([table.slice(0, 13), table.slice(13, 0), table.slice(13)])
    batch = table.combine_chunks().to_batches()[0]
    assert order(chunked).rows.tolist() == order(table).rows.tolist() == order(batch).rows.tolist()


@pytest.mark.parametrize("mode", MODES)
def test_the_planners_codes_give_the_order_of_their_table(mode: str) -> None:
    table = random_table(6, 120, 4)
    encoded = encode([column.combine_chunks() for column in table.columns], 120)
    one, other = order_cells(Cells.of_encoded(encoded), table.column_names, mode), order(table, mode)
    assert (one.rows == other.rows).all()
    assert (one.fields == other.fields).all()
    assert (one.hits, one.total) == (other.hits, other.total)


def test_private_values_are_sorted_by_the_field_with_the_longest_common_beginnings() -> None:
    urls = ["http://host/b/2", "http://host/a/1", "http://host/b/1", "http://host/a/2"]
    table = pa.table({"n": ["7", "1", "4", "2"], "url": urls})
    ordering = order(table, "fast")
    assert [urls[row] for row in ordering.rows] == sorted(urls)
    assert {ordering.fields_of(place) for place in range(4)} == {("url", "n")}


def test_aligned_rows_keep_the_cells_they_share() -> None:
    for seed in range(20):
        cells = encode_table(random_table(seed, 80, 5))
        rows, tree = np.arange(80), Tree(80, 5)
        hits = int(greedy(Level.root(cells, rows), tree)[0])
        align(cells, VECTORISED, rows, tree.fields, tree.depths, tree.leaves)
        assert int(VECTORISED.shared_with_previous(cells, rows, tree.fields).sum()) == hits
        assert (np.sort(tree.fields, axis=1) == np.arange(5)).all()


def test_best_keeps_to_its_budget_and_is_no_worse_than_fast() -> None:
    table = random_table(1, 20_000, 9)
    fast = order(table, "fast")
    started = time.monotonic()
    ordering = order(table, "best", budget=0.0)
    spent = time.monotonic() - started
    assert ordering.hits >= fast.hits
    assert not ordering.method.startswith("rollout")
    started = time.monotonic()
    assert order(table, "best").hits >= ordering.hits
    assert spent < time.monotonic() - started


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mode": "slow"}, "fixed, fast, best"),
        ({"mode": "best", "budget": -1.0}, ">= 0"),
        ({"mode": "best", "budget": float("nan")}, ">= 0"),
        ({"mode": "fast", "budget": 1.0}, "mode 'best'"),
        ({"lengths": lambda name, values: [1]}, "2 values of 'a'"),
        ({"lengths": lambda name, values: [-1, 1]}, ">= 0"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        order(pa.table({"a": ["x", "y"]}), **wrong)


def test_restore_takes_one_value_for_each_row() -> None:
    with pytest.raises(ValueError, match="2 rows, not 3"):
        order(pa.table({"a": ["x", "y"]})).restore(np.arange(3))
