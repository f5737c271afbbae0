"""The public tables: what is reached, as they are and shuffled; `bench/ordering.py` has the times."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

from sparkllm.optimizer.ordering import order, ranges, upper_bounds
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.kernels import kernels_for
from tests.optimizer.ordering_tables import shuffled

TARGETS = [("fixed", 0.693), ("fast", 0.689), ("best", 0.698)]


@pytest.fixture(scope="module")
def beer(data: Path) -> pa.Table:
    return pa.csv.read_csv(data / "beer.csv", parse_options=pa.csv.ParseOptions(newlines_in_values=True))


@pytest.mark.parametrize(("mode", "least"), TARGETS)
def test_beer_shares_as_much_shuffled_as_grouped(beer: pa.Table, mode: str, least: float) -> None:
    ordering = order(beer, mode)
    assert ordering.hit_rate >= least
    if mode != "best":
        assert order(shuffled(beer, 1), mode).hits == ordering.hits


def test_beer_loses_little_on_many_engines(beer: pa.Table) -> None:
    cells, ordering = encode_table(beer), order(beer)
    shared = kernels_for(cells).shared_with_previous(cells, ordering.rows, ordering.fields)
    for n, points in ((32, 0.5), (128, 1.0)):
        cuts = ranges(ordering, cells, n)
        lengths = [int(cells.row_lengths()[ordering.rows[a:b]].sum()) for a, b in pairwise(cuts)]
        assert 100 * shared[cuts[1:-1]].sum() / cells.total <= points
        assert max(lengths) <= 1.1 * sum(lengths) / n


def test_the_best_of_movies_is_the_best_there_is(data: Path) -> None:
    if not (data / "movies_small.csv").exists():
        pytest.skip("movies_small.csv is not there")
    table = pa.csv.read_csv(data / "movies_small.csv", parse_options=pa.csv.ParseOptions(newlines_in_values=True))
    assert order(table, "best").hits == upper_bounds(table).hits == order(table, "fixed").hits
