"""Joint counts of large tables: samples that keep groups whole find what uniform samples hide."""

from __future__ import annotations

import numpy as np
import pytest

from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering import solve
from sparkllm.optimizer.ordering.beam import best_field_order
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.counts import ExactCounts
from sparkllm.optimizer.ordering.kernels import VECTORISED, kernels_for
from sparkllm.optimizer.ordering.sample import SampledCounts

ROWS = 60_000


def repeated(rows: int = ROWS, seed: int = 0) -> Cells:
    """A user writes ten rows, a product has six; a style and two marks have few values; the text is private."""
    random = np.random.default_rng(seed)
    product, user = random.permutation(rows) // 6, random.permutation(rows) // 10
    columns = [product % 50, random.integers(0, 5, rows), random.integers(0, 9, rows), user, product, np.arange(rows)]
    codes = np.stack(columns, axis=1).astype(np.int32) + 1
    lengths = (12, 4, 4, 14, 18, 30)
    return Cells.of(codes, [np.r_[0, np.full(int(c.max()), n)] for c, n in zip(codes.T, lengths, strict=True)])


def share(cells: Cells, order: tuple[int, ...]) -> float:
    rows = order_rows(cells.codes, order)
    return float(kernels_for(cells).shared_with_previous(cells, rows, np.array(order)).sum()) / cells.total


def test_a_sample_by_groups_finds_the_order_and_a_uniform_one_does_not() -> None:
    cells = repeated()
    exact = share(cells, best_field_order(ExactCounts(cells, kernels_for(cells)), 6))
    sampled = share(cells, best_field_order(SampledCounts(cells, kernels_for(cells), 1500), 6))
    some = np.random.default_rng(0).choice(ROWS, 1500, replace=False)
    uniform = cells.take(np.sort(some))
    hidden = share(cells, best_field_order(ExactCounts(uniform, kernels_for(uniform)), 6))
    assert sampled == pytest.approx(exact, abs=0.005)
    assert hidden < exact - 0.05


def sets(columns: int) -> list[tuple[int, ...]]:
    random = np.random.default_rng(1)
    return [tuple(random.permutation(columns)[: random.integers(1, columns)].tolist()) for _ in range(40)]


def test_estimates_are_close_to_exact_counts() -> None:
    cells = repeated()
    exact, sampled = ExactCounts(cells, kernels_for(cells)), SampledCounts(cells, kernels_for(cells), 6000)
    for placed in sets(6):
        rest = [column for column in range(6) if column not in placed]
        one, other = exact.start(), sampled.start()
        for column in placed:
            one, other = exact.place(one, column), sampled.place(other, column)
        wrong = np.array(sampled.gains(other, rest)) - np.array(exact.gains(one, rest))
        wide = [int(cells.length(column)[1:].max()) * ROWS for column in rest]
        assert (np.abs(wrong) / wide).max() < 0.05, (placed, rest, wrong / wide)


def test_estimates_have_no_bias() -> None:
    errors = []
    for seed in range(12):
        cells = repeated(12_000, seed)
        exact, sampled = ExactCounts(cells, VECTORISED), SampledCounts(cells, VECTORISED, 600)
        one, other = exact.place(exact.start(), 4), sampled.place(sampled.start(), 4)
        errors.append((sampled.gains(other, [3])[0] - exact.gains(one, [3])[0]) / cells.total)
    assert abs(float(np.mean(errors))) < 0.01


def test_a_sample_of_everything_counts_exactly() -> None:
    cells = repeated(3000)
    exact, sampled = ExactCounts(cells, VECTORISED), SampledCounts(cells, VECTORISED, 3000)
    one, other = exact.start(), sampled.start()
    for column in (0, 3, 4):
        assert sampled.gains(other, range(6)) == pytest.approx(exact.gains(one, range(6)))
        one, other = exact.place(one, column), sampled.place(other, column)


def test_estimates_do_not_depend_on_the_order_of_the_rows() -> None:
    cells = repeated(20_000)
    moved = cells.take(np.random.default_rng(5).permutation(20_000))
    orders = {best_field_order(SampledCounts(c, kernels_for(c), 1000), 6) for c in (cells, moved)}
    assert len(orders) == 1


def test_a_value_that_most_rows_hold_does_not_spoil_the_sample() -> None:
    cells = repeated()
    codes = cells.codes.copy()
    codes[::3, 3] = 1
    codes[1::3, 4] = 1
    skewed = Cells(codes, cells.lengths, cells.offsets)
    exact = share(skewed, best_field_order(ExactCounts(skewed, kernels_for(skewed)), 6))
    sampled = share(skewed, best_field_order(SampledCounts(skewed, kernels_for(skewed), 3000), 6))
    assert sampled == pytest.approx(exact, abs=0.01)


def test_large_tables_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "_COUNT_ALL", 1000)
    cells = repeated(5000)
    sampled = solve.fixed(cells, VECTORISED)
    monkeypatch.setattr(solve, "_COUNT_ALL", 10**6)
    assert sampled.hits == pytest.approx(solve.fixed(cells, VECTORISED).hits, rel=0.01)
