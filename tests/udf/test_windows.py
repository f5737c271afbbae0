"""How batches become windows."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from sparkllm.udf.windows import windows


@pytest.mark.parametrize("sizes", [[10], [1] * 10, [3, 0, 7], [2, 2, 2, 2, 2], [0, 0, 10, 0]])
def test_no_row_is_lost_or_moved(sizes: list[int]) -> None:
    source = iter(range(sum(sizes)))
    batches = [pa.array([next(source) for _ in range(size)], type=pa.int64()) for size in sizes]
    out = list(windows(batches, 2, 4))
    assert pa.concat_arrays(out).to_pylist() == list(range(10))
    assert [len(window) for window in out] == [2, 4, 4]


def test_windows_grow_to_the_largest_and_no_further() -> None:
    assert [len(w) for w in windows([pa.array(range(100))], 1, 20)] == [1, 4, 16, 20, 20, 20, 19]


def test_a_batch_is_read_only_when_a_window_needs_it() -> None:
    read = []

    def batches() -> Iterator[pa.Array]:
        for i in range(5):
            read.append(i)
            yield pa.array(range(10))

    first = next(windows(batches(), 5, 100))
    assert (len(first), read) == (5, [0])


def test_no_rows_give_no_windows() -> None:
    assert list(windows([], 2, 4)) == []
    assert list(windows([pa.array([], type=pa.int64())], 2, 4)) == []


def test_long_rows_make_short_windows() -> None:
    texts = pa.array(["x" * 1000] * 20)
    out = list(windows([texts], 100, 100, most_bytes=5000))
    assert sum(len(window) for window in out) == 20
    assert max(len(window) for window in out) <= 5
    assert [len(window) for window in windows([texts.slice(0, 2)], 100, 100, most_bytes=10)] == [1, 1]
