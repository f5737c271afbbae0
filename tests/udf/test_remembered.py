"""What a task keeps for its later windows is bounded, whatever the answers are."""

from __future__ import annotations

from sparkllm.udf.remembered import RememberedAnswers
from sparkllm.udf.window import Answer


def key(i: int) -> bytes:
    return i.to_bytes(16, "big")


def test_the_earliest_are_forgotten_first() -> None:
    remembered = RememberedAnswers(most=3)
    for i in range(5):
        remembered.put(key(i), Answer(str(i)))
    assert [remembered.get(key(i)) is not None for i in range(5)] == [False, False, True, True, True]


def test_long_texts_are_bounded_by_their_size() -> None:
    remembered = RememberedAnswers(most_bytes=1000)
    for i in range(10):
        remembered.put(key(i), Answer("x" * 300))
    assert all(remembered.get(key(i)) for i in range(10)), "not counted before they have come"
    remembered.came(map(key, range(10)))
    assert [i for i in range(10) if remembered.get(key(i))] == [7, 8, 9]
    remembered.came([key(1), key(9)])  # one that is forgotten, and one a second time
    assert remembered._total == 900


def test_one_that_is_asked_again_counts_once() -> None:
    remembered = RememberedAnswers(most_bytes=1000)
    remembered.put(key(1), Answer(None, "engine_error", "x" * 800))
    remembered.came([key(1)])
    remembered.put(key(1), again := Answer("y" * 100))
    assert remembered._total == 0
    remembered.came([key(1)])
    assert remembered.get(key(1)) is again
    assert remembered._total == 100
