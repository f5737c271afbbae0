"""The file of answers: what is written is read until it is too old or too much; nothing in part, nothing wrong."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import time
from hashlib import blake2b
from pathlib import Path

import pytest

from sparkllm.backend.ledger.store import FORMAT, AnswerStore, Kept, files_of, other_formats, path_in
from sparkllm.errors import LedgerError

DAY = 24 * 3600


def key(i: int) -> bytes:
    return blake2b(str(i).encode(), digest_size=16).digest()


def answers(numbers: range, text: str = "answer", age: float = 0) -> list[Kept]:
    return [Kept(key(i), f"{text} {i}", "1,0", int(time.time() - age)) for i in numbers]


def test_what_is_written_is_read_and_nothing_else(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.write(answers(range(1000)))
    found = store.recall([key(i) for i in range(500, 1500)])
    assert found == {key(i): f"answer {i}" for i in range(500, 1000)}
    assert store.recall([]) == {}


@pytest.mark.parametrize("text", ["", "a\0b", "日本語 🍺", "'; DROP TABLE answers; --", "x" * 2_000_000], ids=len)
def test_any_text_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    AnswerStore(tmp_path).write([Kept(key(1), text, "", int(time.time()))])
    assert AnswerStore(tmp_path).recall([key(1)]) == {key(1): text}


def test_two_who_have_it_open_have_one_ledger(tmp_path: Path) -> None:
    one, other = AnswerStore(tmp_path), AnswerStore(tmp_path)
    one.write(answers(range(3)))
    other.write(answers(range(3, 5)))
    assert len(one.recall([key(i) for i in range(5)])) == 5


def test_the_later_answer_to_a_question_counts(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.write(answers(range(1), "old", age=9 * DAY))
    store.write(answers(range(1), "new"))
    assert store.recall([key(0)]) == {key(0): "new 0"}
    assert store.summary()[0] == 1


def test_a_shared_file_is_taken_in_once_and_never_over_an_own_answer(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.write(answers(range(1), "own"))
    store.take_in("file", answers(range(2), "other"))
    assert store.recall([key(0), key(1)]) == {key(0): "own 0", key(1): "other 1"}
    assert store.taken_in() == {"file"}


def test_an_answer_that_is_too_old_is_not_told_and_dropped(tmp_path: Path) -> None:
    AnswerStore(tmp_path).write([*answers(range(5), age=3 * DAY), *answers(range(5, 8))])
    store = AnswerStore(tmp_path, days=2)
    assert set(store.recall([key(i) for i in range(8)])) == {key(i) for i in range(5, 8)}
    assert store.make_room(10**9, 100) == 5
    assert store.summary()[0] == 3
    assert len(AnswerStore(tmp_path, days=0).recall([key(7)])) == 1


def test_above_the_size_limit_the_oldest_go_first(tmp_path: Path) -> None:
    store, limit = AnswerStore(tmp_path), 400_000
    for start in range(0, 4000, 200):
        store.write(answers(range(start, start + 200), "x" * 500))
        store.make_room(limit, 400)
    assert store.used_bytes() <= limit * 1.5
    found = store.recall([key(i) for i in range(4000)])
    assert key(3999) in found
    assert key(0) not in found
    assert path_in(tmp_path).stat().st_size <= 2 * limit


def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    AnswerStore(folder).write(answers(range(1)))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files_of(path_in(folder))} == {0o600}


def test_a_folder_where_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(LedgerError, match="a folder of your own"):
        AnswerStore(tmp_path)


def test_a_ledger_of_another_format_is_not_read_and_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / f"answers-{FORMAT + 1}.sqlite"
    other.write_bytes(b"of the future")
    AnswerStore(tmp_path).write(answers(range(1)))
    assert other.read_bytes() == b"of the future"
    assert other_formats(tmp_path) == [other]


def test_a_file_that_says_it_is_of_another_format_is_refused(tmp_path: Path) -> None:
    AnswerStore(tmp_path).close()
    with sqlite3.connect(path_in(tmp_path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match=f"format {FORMAT} .* found format 99"):
        AnswerStore(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path_in(tmp_path).write_bytes(b"nothing of the kind " * 1000)
    with pytest.raises(LedgerError, match="not a database"):
        AnswerStore(tmp_path)


def test_cut_at_any_byte_the_log_still_tells_whole_answers_only(tmp_path: Path) -> None:
    """What a crash of the machine may leave: the file, and the beginning of its log."""
    folder = tmp_path / "whole"
    store = AnswerStore(folder)
    for start in range(0, 60, 20):
        store.write(answers(range(start, start + 20), "y" * 300))
    log = Path(f"{path_in(folder)}-wal").read_bytes()
    counts = []
    for cut in [*range(0, len(log), 997), len(log)]:
        shutil.rmtree(tmp_path / "cut", ignore_errors=True)
        (tmp_path / "cut").mkdir(mode=0o700)
        shutil.copy(path_in(folder), path_in(tmp_path / "cut"))
        Path(f"{path_in(tmp_path / 'cut')}-wal").write_bytes(log[:cut])
        found = AnswerStore(tmp_path / "cut").recall([key(i) for i in range(60)])
        assert all(found[key(i)] == f"{'y' * 300} {i}" for i in range(60) if key(i) in found)
        counts.append(len(found))
    assert counts == sorted(counts)
    assert {0, 20, 40, 60} == set(counts)  # whole transactions


def test_cleared_it_is_empty_for_those_who_have_it_open_too(tmp_path: Path) -> None:
    open_one, other = AnswerStore(tmp_path), AnswerStore(tmp_path)
    open_one.write(answers(range(2000), "z" * 200))
    other.clear()
    assert open_one.recall([key(1)]) == {}
    open_one.write(answers(range(1)))
    assert other.recall([key(0)]) == {key(0): "answer 0"}
    assert path_in(tmp_path).stat().st_size < 100_000
