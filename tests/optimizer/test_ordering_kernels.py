"""The compiled inner loops and those in NumPy give exactly the same result."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.optimizer.ordering import kernels as kernels_module
from sparkllm.optimizer.ordering import order, upper_bounds, warm_up
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.dependence import follows
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.kernels import VECTORISED, Kernels, compiled, kernels_for
from sparkllm.optimizer.ordering.level import Level
from sparkllm.optimizer.ordering.order import MODES
from sparkllm.optimizer.ordering.vectorised_greedy import Tree
from tests.optimizer.ordering_tables import by_hand, random_table, tables

EXAMPLES = settings(max_examples=100, deadline=None)
SIZES = [(1, 1), (2, 3), (50, 4), (400, 7), (1000, 12)]


@pytest.fixture(scope="module")
def numba() -> Kernels:
    pytest.importorskip("numba")
    made = compiled()
    assert made is not None
    return made


def solved(kernels: Kernels, cells: Cells) -> list:
    found: list = [follows(cells, kernels)]
    for known in (cells, replace(cells, follows=found[0])):
        rows, tree = np.arange(cells.rows), Tree(cells.rows, cells.columns)
        hits = kernels.greedy(Level.root(known, rows), tree)
        found += [rows, tree.fields, tree.depths, tree.leaves, hits]
    return found


def refined(kernels: Kernels, cells: Cells) -> list:
    groups = (np.arange(cells.rows), np.array([0, cells.rows]))
    found: list = []
    counted = (kernels.column_gains, kernels.agreeing_pairs)
    for column in range(cells.columns):
        found += [count(cells, *groups, np.arange(cells.columns)) for count in counted]
        found += groups
        groups = kernels.refine_groups(cells, *groups, column)
    return [*found, *groups]


def measured(kernels: Kernels, cells: Cells) -> list:
    rows = np.random.default_rng(0).permutation(cells.rows)
    fields = np.random.default_rng(1).permuted(
        np.tile(np.arange(cells.columns, dtype=np.int16), (cells.rows, 1)), axis=1
    )
    shared = [kernels.shared_with_previous(cells, rows, f) for f in (fields, np.sort(fields), fields[0])]
    drawn = [kernels.sample_rows(cells, np.arange(k + 1), 0.4) for k in range(cells.columns)]
    return [*shared, *drawn, kernels.heaviest_tree(cells)]


def same(one: list, other: list) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("what", [solved, refined, measured])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_compiled_is_numpy(numba: Kernels, what: Callable, rows: int, columns: int) -> None:
    for seed in range(3):
        cells = encode_table(random_table(seed, rows, columns))
        same(what(numba, cells), what(VECTORISED, cells))


@EXAMPLES
@given(tables())
def test_compiled_is_numpy_with_nulls_and_empty_values(table: pa.Table) -> None:
    if (numba := compiled()) is None:
        pytest.skip("numba is not installed")
    cells = encode_table(table)
    for what in (solved, refined, measured):
        same(what(numba, cells), what(VECTORISED, cells))


def test_common_beginnings_are_the_same(numba: Kernels) -> None:
    random = np.random.default_rng(0)
    texts = [bytes(random.integers(97, 99, random.integers(0, 9)).astype(np.uint8)) for _ in range(60)]
    data, starts = np.frombuffer(b"".join(texts), np.uint8), np.cumsum([0, *map(len, texts)])
    one, other = random.integers(0, 60, (2, 500))
    expected = [next((k for k, (a, b) in enumerate(zip(x, y, strict=False)) if a != b), min(len(x), len(y)))
                for x, y in ((texts[i], texts[j]) for i, j in zip(one, other, strict=True))]  # fmt: skip
    for kernels in (numba, VECTORISED):
        assert kernels.common_prefix(data, starts, one, other).tolist() == expected


def check_a_whole_order(numba: Kernels, table: pa.Table, mode: str) -> None:
    """Both kernels find the same, with what must hold for every order."""
    found = []
    for kernels in (numba, VECTORISED):
        with patch.object(
            import_module("sparkllm.optimizer.ordering.order"), "kernels_for", lambda cells, k=kernels: k
        ):
            found.append(order(table, mode))
    one, other = found
    same([one.rows, one.fields, one.hits, one.method], [other.rows, other.fields, other.hits, other.method])
    assert sorted(one.rows.tolist()) == list(range(table.num_rows))
    assert one.hits == by_hand(table, one.rows, one.fields)
    assert one.hits >= by_hand(table, np.arange(table.num_rows), np.arange(table.num_columns))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(4))
def test_a_whole_order_is_the_same(numba: Kernels, mode: str, seed: int) -> None:
    check_a_whole_order(numba, random_table(seed, 300, 6), mode)


@EXAMPLES
@given(tables(), st.sampled_from(MODES))
def test_a_whole_order_is_the_same_with_nulls_and_empty_values(table: pa.Table, mode: str) -> None:
    if (numba := compiled()) is None:
        pytest.skip("numba is not installed")
    check_a_whole_order(numba, table, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "table",
    [
        pa.table({}),
        pa.table({"a": pa.array([], pa.string())}),
        pa.table({"a": ["x"], "b": [None]}),
        pa.table({"null": pa.nulls(9, pa.string())}),
        pa.table({"same": ["x"] * 9, "too": ["y"] * 9}),
        pa.table({"all": [str(i) for i in range(9)], "distinct": [f"{i}!" for i in range(9)]}),
    ],
    ids=["no column", "no row", "one row", "nulls", "all equal", "all distinct"],
)
def test_a_whole_order_is_the_same_at_the_edges(numba: Kernels, mode: str, table: pa.Table) -> None:
    check_a_whole_order(numba, table, mode)


def test_rows_that_agree_are_drawn_together() -> None:
    cells = encode_table(random_table(7, 3000, 5))
    for columns in (np.array([0]), np.array([1, 3]), np.arange(5)):
        drawn = np.zeros(cells.rows, dtype=bool)
        drawn[VECTORISED.sample_rows(cells, columns, 0.3)] = True
        _, group = np.unique(cells.codes[:, columns], axis=0, return_inverse=True)
        assert ((np.bincount(group.reshape(-1), drawn) / np.bincount(group.reshape(-1))) % 1 == 0).all()
    assert 0.25 < drawn.mean() < 0.35


def printed(code: str) -> list[str]:
    """The words that a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_without_numba_everything_works_and_nothing_imports_it() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "import pyarrow as pa; from sparkllm.optimizer.ordering import order, upper_bounds\n"
        "table = pa.table({'a': [str(i % 9) for i in range(60000)]})\n"
        "print(order(table, 'best').hits, upper_bounds(table).hits)"
    )
    assert printed(code) == ["59991", "59991"]


def test_small_tables_do_not_wait_for_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "_ready", [])
    few, many = (SimpleNamespace(codes=np.zeros(size), columns=1) for size in (100, 10**6))
    assert kernels_for(few) is VECTORISED  # type: ignore[arg-type]
    warm_up().join()
    there = compiled() or VECTORISED  # where numba is not installed
    assert kernels_for(few) is kernels_for(many) is there  # type: ignore[arg-type]


def test_a_numba_that_cannot_be_used_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Kernels:
        raise ImportError("numba needs another NumPy")

    monkeypatch.setattr(kernels_module, "_ready", [])
    monkeypatch.setattr(kernels_module, "_compiled", refuse)
    assert compiled() is None
    assert order(random_table(1, 30_000, 7), "fast").hits > 0
    assert kernels_module._ready == [None]


def test_bounds_are_the_same(numba: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    table = random_table(2, 200, 5)
    bounds = upper_bounds(table)
    monkeypatch.setattr("sparkllm.optimizer.ordering.bounds.kernels_for", lambda cells: VECTORISED)
    assert upper_bounds(table) == bounds


def test_nothing_is_compiled_after_the_warm_up(numba: Kernels) -> None:
    code = (
        "from importlib import import_module; from sparkllm.optimizer.ordering.kernels import compiled; compiled()\n"
        "from sparkllm.optimizer.ordering import order, solve, upper_bounds\n"
        "from tests.optimizer.ordering_tables import random_table\n"
        "modules = [import_module(f'sparkllm.optimizer.ordering.compiled_{p}')\n"
        "           for p in ('greedy', 'choice', 'partition', 'groups', 'sample', 'text', 'bounds')]\n"
        "functions = [f for m in modules for f in vars(m).values() if hasattr(f, 'signatures')]\n"
        "def known(): return sum(len(f.signatures) for f in functions)\n"
        "before = known(); table = random_table(1, 3000, 6)\n"
        "for mode in ('fixed', 'fast', 'best'): order(table, mode)\n"
        "solve._COUNT_ALL = 10; order(table); upper_bounds(table); print(before > 6, known() - before)"
    )
    assert printed(code) == ["True", "0"]
