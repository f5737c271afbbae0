"""The planner's rules: before/after pairs from rules.json, and what must hold for every table."""

from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from sparkllm.optimizer.dedup import dedup
from sparkllm.optimizer.encode import Encoded, encode
from sparkllm.optimizer.order_fields import order_fields
from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.prefix.groups import prefix_hit_rate
from tests.optimizer.cases import cases


def table(rows: list[list[str | None]]) -> Encoded:
    columns = [pa.array(column, type=pa.string()) for column in zip(*rows, strict=True)]
    return encode(columns, len(rows))


def compare(case: dict, got: dict) -> None:
    expected = {name: case[name] for name in got}
    assert got == expected, f"\nbefore:   {case['rows']}\ngot:      {got}\nexpected: {expected}"


@pytest.mark.parametrize("case", cases("rules.json", "dedup"))
def test_dedup(case: dict) -> None:
    first, inverse = dedup(table(case["rows"]).codes)
    compare(case, {"first": first.tolist(), "inverse": inverse.tolist()})


@pytest.mark.parametrize("case", cases("rules.json", "order_fields"))
def test_order_fields(case: dict) -> None:
    compare(case, {"order": list(order_fields(Cells.of_encoded(table(case["rows"])), tuple(case.get("fixed", ()))))})


@pytest.mark.parametrize("case", cases("rules.json", "order_rows"))
def test_order_rows(case: dict) -> None:
    compare(case, {"rows_order": order_rows(table(case["rows"]).codes, tuple(case["order"])).tolist()})


@pytest.mark.parametrize("seed", range(20))
def test_the_chosen_field_order_is_the_best_of_all_on_small_tables(seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = [pa.array([f"{v}" * (c + 1) for v in random.integers(0, 2 + c, 30)]) for c in range(4)]
    encoded = encode(columns, 30)
    best = max(prefix_hit_rate(encoded, order) for order in permutations(range(4)))
    assert prefix_hit_rate(encoded, order_fields(Cells.of_encoded(encoded))) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(20))
def test_dedup_can_be_undone(seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 3, (50, 3))
    first, inverse = dedup(codes)
    assert (codes[first][inverse] == codes).all()
    assert len(np.unique(codes, axis=0)) == len(first)


def test_the_predicted_hits_are_those_of_sorted_neighbours() -> None:
    random = np.random.default_rng(1)
    columns = [pa.array([f"{v}" * 3 for v in random.integers(0, 4, 60)]) for _ in range(3)]
    encoded = encode(columns, 60)
    rows = encoded.codes[order_rows(encoded.codes, (2, 0, 1))][:, [2, 0, 1]]
    same = np.cumprod(rows[1:] == rows[:-1], axis=1).sum() * 3  # every value has three bytes
    assert prefix_hit_rate(encoded, (2, 0, 1)) == pytest.approx(same / (60 * 9))


def test_an_empty_table_has_no_order_to_choose() -> None:
    nothing = encode([pa.array([], type=pa.string())] * 2, 0)
    assert order_fields(Cells.of_encoded(nothing)) == (0, 1)
    assert order_rows(nothing.codes, (0, 1)).tolist() == []
    assert [part.tolist() for part in dedup(nothing.codes)] == [[], []]
