"""Columns of every type as the text of a prompt."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from sparkllm.errors import CallError
from sparkllm.optimizer.ordering import order
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.render import render_column

UTC = dt.UTC
CASES: dict[str, tuple[pa.Array, list[str | None]]] = {
    "numbers": (pa.array([7, -1, None]), ["7", "-1", None]),
    "booleans": (pa.array([True, False, None]), ["true", "false", None]),
    "floats": (
        pa.array([3.0, 0.1, -0.0, 1e-4, 1234567.5, 1e7, 1.5e300, 0.001, float("nan"), float("inf"), -float("inf")]),
        ["3.0", "0.1", "-0.0", "1.0E-4", "1234567.5", "1.0E7", "1.5E300", "0.001", "NaN", "Infinity", "-Infinity"],
    ),
    "narrow floats": (pa.array([0.1, 16777216.0, 2.0], pa.float32()), ["0.1", "1.6777216E7", "2.0"]),
    "decimals": (pa.array([Decimal("1.50"), Decimal("-3.00")]), ["1.50", "-3.00"]),
    "dates": (pa.array([dt.date(2024, 1, 31)]), ["2024-01-31"]),
    "timestamps": (
        pa.array([dt.datetime(2024, 1, 31, 12), dt.datetime(2024, 1, 31, 12, 0, 10, 500000)]),
        ["2024-01-31 12:00:00", "2024-01-31 12:00:10.5"],
    ),
    "timestamps with a zone": (
        pa.array([dt.datetime(2024, 1, 31, 12, tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin")),
        ["2024-01-31 13:00:00"],
    ),
    "binary": (pa.array([b"caf\xc3\xa9", b"\xff"]), ["café", "\ufffd"]),
    "lists": (pa.array([["a", None], [], None]), ['["a",null]', "[]", None]),
    "structs": (pa.array([{"a": 1, "b": None}, {"a": 2, "b": "é"}]), ['{"a":1}', '{"a":2,"b":"é"}']),
    "maps": (pa.array([[("k", 1), ("n", None)], []], pa.map_(pa.string(), pa.int64())), ['{"k":1,"n":null}', "{}"]),
    "nested in each other": (
        pa.array([[{"at": dt.datetime(2024, 1, 31, tzinfo=UTC), "x": 0.5}], [{"at": None, "x": float("nan")}]]),
        ['[{"at":"2024-01-31T00:00:00.000Z","x":0.5}]', '[{"x":"NaN"}]'],
    ),
    "dictionaries": (pa.array(["x", "y", None, "x"]).dictionary_encode(), ["x", "y", None, "x"]),
    "nulls": (pa.nulls(2), [None, None]),
    "large strings": (pa.array(["x", None], pa.large_string()), ["x", None]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_column_is_rendered_as_in_the_prompt(name: str) -> None:
    column, expected = CASES[name]
    rendered = render_column(name, column)
    assert rendered.type == pa.large_string()
    assert rendered.to_pylist() == expected


def test_a_type_without_text_is_refused() -> None:
    with pytest.raises(CallError, match="'took' has type duration"):
        order(pa.table({"took": pa.array([dt.timedelta(1)])}))


def test_codes_sort_like_values_and_null_is_zero() -> None:
    cells = encode_table(pa.table({"a": ["b", None, "", "ab", "é", "b"]}))
    assert cells.codes[:, 0].tolist() == [3, 0, 1, 2, 4, 3]
    assert cells.values is not None
    assert cells.values[0].to_pylist() == ["", "", "ab", "b", "é"]
    assert cells.length(0).tolist() == [0, 0, 2, 1, 2]


def test_a_table_of_many_types_is_ordered() -> None:
    table = pa.table(
        {name: column.take(pa.array([0, 1] * 4)) for name, (column, _) in CASES.items() if len(column) > 1}
    )
    ordering = order(table, "best")
    assert ordering.hits == sum(
        3 * sum(len(t.encode()) for t in CASES[name][1][:2] if t) for name in table.column_names
    )
