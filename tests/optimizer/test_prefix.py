"""The evaluators of a cache of any size count what a trie of dictionaries counts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.optimizer.encode import Encoded
from sparkllm.optimizer.prefix import BlockPrefixes, Sequences, blocks, cells, characters, prefix_hit_rate, tokens
from sparkllm.optimizer.prefix.sequences import sorted_common
from tests.optimizer.brute_force import sent_cells, trie_hits

TEXTS = ["", "a", "ab", "abc", "b", "é🍺", "é🍻", "a" * 40, "a" * 40 + "b"]


@st.composite
def orders(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(codes, rows, fields): a table, its rows in some order, and one field order or one for each row."""
    n, m = draw(st.integers(0, 12)), draw(st.integers(1, 4))
    cell = st.integers(0, len(TEXTS) - 1) if draw(st.booleans()) else st.integers(0, 2)
    codes = draw(st.lists(st.lists(cell, min_size=m, max_size=m), min_size=n, max_size=n))
    rows = draw(st.permutations(range(n)))
    order = st.permutations(range(m))
    fields: Any = draw(order if draw(st.booleans()) else st.lists(order, min_size=n, max_size=n))
    shaped = np.array(fields, dtype=np.int16).reshape((m,) if fields and isinstance(fields[0], int) else (n, m))
    return np.array(codes, dtype=np.int32).reshape(n, m), np.array(rows, dtype=np.int64), shaped


prompts = st.lists(st.lists(st.integers(0, 2), max_size=9), max_size=12)
repeated = st.lists(
    st.sampled_from([[1] * 70, [1] * 64, [1] * 65 + [2], [1] * 63, [1] * 33 + [2] * 40, []]), max_size=9
)


@settings(max_examples=200, deadline=None)
@given(orders(), st.integers(0, 9))
def test_cells_are_those_found_in_a_trie_of_earlier_rows(order: Any, static: int) -> None:
    codes, rows, fields = order
    lengths = [np.array([99, *range(1, len(TEXTS))]) * (c + 1) for c in range(codes.shape[1])]
    sent = sent_cells(codes, rows, fields)
    found = [sum(lengths[c][v] for c, v in row[:k]) for row, k in zip(sent, trie_hits(sent), strict=True)]
    got = cells(codes, lengths, rows, fields, static)
    assert got.hits.tolist() == [hits + static * (i > 0) for i, hits in enumerate(found)]
    assert (got.total - static).tolist() == [sum(lengths[c][v] for c, v in row) for row in sent]
    assert got.data_hits.tolist() == found


@settings(max_examples=200, deadline=None)
@given(orders())
def test_the_rate_of_a_field_order_is_that_of_its_rows_in_a_trie(order: Any) -> None:
    codes, rows, fields = order
    fields = fields if fields.ndim == 1 else np.arange(codes.shape[1])
    lengths = tuple(np.array([0, *range(1, len(TEXTS))]) * (c + 1) for c in range(codes.shape[1]))
    sent = sent_cells(codes, rows, fields)
    hits = sum(lengths[c][v] for row, k in zip(sent, trie_hits(sent), strict=True) for c, v in row[:k])
    total = sum(lengths[c][v] for row in sent for c, v in row)
    table = Encoded(codes, tuple([""] * len(TEXTS) for _ in lengths), lengths)
    assert prefix_hit_rate(table, tuple(fields.tolist())) == pytest.approx(hits / total if total else 0)


@settings(max_examples=200, deadline=None)
@given(orders())
def test_characters_are_those_found_in_a_trie_of_earlier_rows(order: Any) -> None:
    codes, rows, fields = order
    texts = ["".join(TEXTS[v] for _, v in row) for row in sent_cells(codes, rows, fields)]
    got = characters(codes, [TEXTS] * codes.shape[1], rows, fields)
    assert got.hits.tolist() == trie_hits(texts)
    assert got.total.tolist() == [len(text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(prompts | repeated)
def test_tokens_are_those_found_in_a_trie_of_earlier_prompts(ids: list[list[int]]) -> None:
    assert tokens(Sequences.of(ids)).hits.tolist() == trie_hits(ids)


@settings(max_examples=200, deadline=None)
@given(prompts | repeated)
def test_neighbours_in_sorted_order_share_what_all_rows_share_with_earlier_ones(ids: list[list[int]]) -> None:
    order, common = sorted_common(Sequences.of(ids))
    assert [ids[i] for i in order] == sorted(ids)
    assert common.sum() == sum(trie_hits(ids))


@settings(max_examples=200, deadline=None)
@given(prompts | repeated, st.integers(1, 5))
def test_blocks_are_whole_ones_and_never_the_last_token(ids: list[list[int]], size: int) -> None:
    chained = [[tuple(p[: end + size]) for end in range(0, len(p) - size + 1, size)] for p in ids]
    expected = [min(k * size, max(0, len(p) - 1) // size * size) for p, k in zip(ids, trie_hits(chained), strict=True)]
    got = blocks(Sequences.of(ids), size, static=3)
    assert got.hits.tolist() == expected
    assert got.data_hits.tolist() == [max(0, hits - 3) for hits in expected]
    one_by_one = BlockPrefixes(size)
    assert [one_by_one.add(np.array(p, dtype=np.int32)) for p in ids] == expected


def test_the_static_beginning_counts_for_the_whole_and_not_for_the_data() -> None:
    codes = np.array([[1], [1], [2]], dtype=np.int32)
    got = cells(codes, [np.array([0, 4, 4])], np.arange(3), np.array([0]), static=6)
    assert (got.rate, got.data_rate) == ((6 + 4 + 6) / 30, 4 / 12)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_served_of_no_rows_or_one(n: int) -> None:
    codes = np.ones((n, 2), dtype=np.int32)
    order = np.arange(n), np.arange(2)
    for got in (
        cells(codes, [np.array([0, 3])] * 2, *order, static=5),
        characters(codes, [["", "x"]] * 2, *order, static=5),
        tokens(Sequences.of([[1, 2]] * n)),
    ):
        assert (got.rate, got.data_rate, len(got.hits)) == (0, 0, n)


def test_sequences_are_taken_in_any_order() -> None:
    taken = Sequences.of([[1, 2], [], [3]]).take(np.array([2, 0, 1, 0]))
    assert (taken.items.tolist(), taken.offsets.tolist()) == ([3, 1, 2, 1, 2], [0, 1, 3, 3, 5])


def test_thirty_thousand_rows_of_nine_columns_are_counted_in_well_under_a_second() -> None:
    random = np.random.default_rng(0)
    codes = np.column_stack([random.integers(0, 4**c + 1, 30_000) for c in range(9)]).astype(np.int32)
    lengths = [np.full(4**c + 1, 7) for c in range(9)]
    fields = np.argsort(random.random(codes.shape), axis=1).astype(np.int16)
    begin = time.perf_counter()
    cells(codes, lengths, random.permutation(30_000), fields)
    assert time.perf_counter() - begin < 2  # 0.1 s on a quiet core
