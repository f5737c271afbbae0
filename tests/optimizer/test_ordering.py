"""The ordering engine: what must hold for every table, in every mode."""

from __future__ import annotations

from itertools import permutations
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.optimizer.ordering import Ordering, order
from sparkllm.optimizer.ordering.order import MODES
from tests.optimizer.ordering_tables import by_hand, random_table, shuffled, tables

MODE = st.sampled_from(MODES)
EXAMPLES = settings(max_examples=60, deadline=None)


def field_orders(ordering: Ordering) -> np.ndarray:
    return np.broadcast_to(ordering.fields, (len(ordering.rows), len(ordering.columns)))


@EXAMPLES
@given(tables(), MODE)
def test_rows_and_fields_are_permutations(table: pa.Table, mode: str) -> None:
    ordering = order(table, mode)
    assert ordering.rows.dtype == np.int64
    assert ordering.fields.dtype == np.int16
    assert sorted(ordering.rows.tolist()) == list(range(table.num_rows))
    assert (np.sort(field_orders(ordering), axis=1) == np.arange(table.num_columns)).all()
    assert ordering.columns == tuple(table.column_names)
    assert mode != "fixed" or ordering.fields.shape == (table.num_columns,)


@EXAMPLES
@given(tables(), MODE)
def test_no_value_is_lost_or_moved_to_another_row(table: pa.Table, mode: str) -> None:
    ordering = order(table, mode)
    sent = ordering.apply(pa.array(table.to_pylist())).to_pylist()
    shown = [{name: row[name] for name in ordering.fields_of(place)} for place, row in enumerate(sent)]
    assert ordering.restore(pa.array(range(len(shown)))).to_pylist() == np.argsort(ordering.rows).tolist()
    assert [shown[place] for place in np.argsort(ordering.rows)] == table.to_pylist()


@EXAMPLES
@given(tables(), MODE)
def test_the_hits_are_those_counted_by_hand(table: pa.Table, mode: str) -> None:
    ordering = order(table, mode)
    assert ordering.hits == by_hand(table, ordering.rows, ordering.fields)
    assert ordering.total == sum(len(v.encode()) for column in table.columns for v in column.to_pylist() if v)
    assert 0 <= ordering.hit_rate <= 1


@EXAMPLES
@given(tables(), MODE, st.integers(0, 2), st.randoms())
def test_given_columns_stand_first_and_the_rest_is_ordered_below_them(
    table: pa.Table, mode: str, given_columns: int, random: Random
) -> None:
    first = random.sample(table.column_names, min(given_columns, table.num_columns))
    ordering = order(table, mode, first=first)
    positions = [table.column_names.index(name) for name in first]
    assert (field_orders(ordering)[:, : len(first)] == positions).all()
    assert sorted(ordering.rows.tolist()) == list(range(table.num_rows))
    assert (np.sort(field_orders(ordering), axis=1) == np.arange(table.num_columns)).all()
    rest = [i for i in range(table.num_columns) if i not in positions]
    assert ordering.hits == by_hand(table, ordering.rows, ordering.fields)
    assert ordering.hits >= by_hand(table, np.arange(table.num_rows), np.array(positions + rest))


@pytest.mark.parametrize("first", ["c0", ["c9"], ["c0", "c0"]])
def test_given_columns_are_different_ones_of_the_table(first: list[str] | str) -> None:
    with pytest.raises(ValueError, match="different columns of the table, c0, c1"):
        order(pa.table({"c0": ["a"], "c1": ["b"]}), first=first)


@EXAMPLES
@given(tables(), MODE)
def test_no_mode_is_worse_than_the_input(table: pa.Table, mode: str) -> None:
    as_it_is = by_hand(table, np.arange(table.num_rows), np.arange(table.num_columns))
    assert order(table, mode).hits >= as_it_is


@EXAMPLES
@given(tables())
def test_best_is_no_worse_than_any_other_mode_or_the_sorted_rows(table: pa.Table) -> None:
    sorted_rows = np.array(sorted(range(table.num_rows), key=lambda i: str(table.slice(i, 1).to_pylist())))
    others = [order(table, mode).hits for mode in ("fixed", "fast")]
    assert order(table, "best").hits >= max(*others, by_hand(table, sorted_rows, np.arange(table.num_columns)))


@EXAMPLES
@given(tables(), MODE, st.integers(0, 9))
def test_the_hits_do_not_depend_on_the_order_of_the_input(table: pa.Table, mode: str, seed: int) -> None:
    one, other = order(table, mode), order(shuffled(table, seed), mode)
    better_as_it_was = [o for o in (one, other) if o.method == "input"]
    if better_as_it_was:
        assert max(one.hits, other.hits) in {o.hits for o in better_as_it_was}
    else:
        assert one.hits == other.hits


@pytest.mark.parametrize("mode", MODES)
def test_equal_tables_give_equal_orders(mode: str) -> None:
    one, other = (order(random_table(3, 300, 6), mode) for _ in range(2))
    assert (one.rows == other.rows).all()
    assert (one.fields == other.fields).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_fixed_order_is_the_best_of_all_on_small_tables(seed: int) -> None:
    table = random_table(seed, 40, 4)
    columns = [column.to_pylist() for column in table.columns]
    most = 0
    for fields in permutations(range(4)):
        rows = sorted(range(40), key=lambda row: [columns[c][row] for c in fields])
        most = max(most, by_hand(table, np.array(rows), np.array(fields)))
    assert order(table, "fixed").hits == most


def test_dependencies_need_no_hint() -> None:
    names = [f"name {i % 5}" for i in range(40)]
    table = pa.table({"n": [str(i) for i in range(40)], "id": [f"{name}#" for name in names], "name": names})
    for mode in MODES:
        ordering = order(table, mode)
        assert ordering.hits == 35 * (len("name 0#") + len("name 0"))
        assert ordering.fields_of(0)[2] == "n"


def test_rows_that_share_another_field_get_another_field_order() -> None:
    rows = [("a long text", str(i)) for i in range(5)] + [(f"{i}{i}", "another long text") for i in range(5)]
    table = pa.table({"x": [r[0] for r in rows], "y": [r[1] for r in rows]})
    ordering = order(table, "fast")
    assert {ordering.fields_of(place)[0] for place in range(10)} == {"x", "y"}
    assert ordering.hits == 4 * len("a long text") + 4 * len("another long text")


def test_the_lengths_decide_and_may_be_tokens() -> None:
    table = pa.table({"wordy": ["one two three", "one two three", "4 5 6", "4 5 6"], "long": list("aabb")})
    table = table.append_column("b", pa.array(["x", "y", "x", "y"]))

    def words(name: str, values: pa.Array) -> list[int]:
        return [9 if name == "b" else len(value.split()) for value in values.to_pylist()]

    assert order(table, lengths=words).fields_of(0)[0] == "b"
    assert order(table).fields_of(0)[-1] == "b"
    assert order(table, lengths=words).total == 4 * (9 + 3 + 1)
