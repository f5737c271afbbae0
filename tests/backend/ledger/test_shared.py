"""The shared path: what one cluster has answered, another does not ask for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sparkllm.backend.ledger import ledger as ledger_module
from sparkllm.backend.ledger import others
from sparkllm.backend.ledger.ledger import Ledger
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.backend.ledger.shared import SharedAnswers
from sparkllm.backend.ledger.store import FORMAT, AnswerStore, Kept
from sparkllm.errors import LedgerError
from tests.backend.ledger.test_store import DAY, answers, key


def on(tmp_path: Path, host: str, model: str = "m", **settings: object) -> Ledger:
    shared = str(tmp_path / "shared")
    return Ledger(LedgerSettings(str(tmp_path / host), shared, **settings), model)  # type: ignore[arg-type]


def look_again(ledger: Ledger) -> None:
    assert ledger._others is not None
    ledger._others._next = 0.0


def test_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    shared = SharedAnswers(str(tmp_path / "s"), "m")
    assert shared.names() == set()
    rows = [Kept(key(i), text, "1,0", 7 + i) for i, text in enumerate(["", "a\0b", "日本語 🍺", "x" * 100_000])]
    names = {shared.append(rows), shared.append(rows[:1])}
    assert shared.names() == names
    assert sorted(len(shared.read(name)) for name in names) == [1, 4]
    assert rows in [shared.read(name) for name in names]


def test_another_cluster_knows_what_this_one_was_answered(tmp_path: Path) -> None:
    one = on(tmp_path, "one")
    for i in range(100):
        one.keep(key(i), f"answer {i}", "0")
    assert one.flush(10)
    other = on(tmp_path, "other")
    assert other.recall([key(i) for i in range(200)]) == {key(i): f"answer {i}" for i in range(100)}
    assert AnswerStore(tmp_path / "other").summary()[0] == 100


def test_of_another_model_nothing_is_read(tmp_path: Path) -> None:
    one = on(tmp_path, "one")
    one.keep(key(1), "yes", "0")
    assert one.flush(10)
    assert on(tmp_path, "other", "another model").recall([key(1)]) == {}


def test_files_that_come_later_are_seen_and_each_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = on(tmp_path, "one"), on(tmp_path, "other")
    assert other.recall([key(1)]) == {}
    one.keep(key(1), "yes", "0")
    assert one.flush(10)
    assert other.recall([key(1)]) == {}, "it looks every 30 seconds"
    look_again(other)
    assert other.recall([key(1)]) == {key(1): "yes"}
    monkeypatch.setattr(SharedAnswers, "read", lambda *_: pytest.fail("read again"))
    for ledger in (one, other, on(tmp_path, "other")):
        look_again(ledger)
        assert ledger.recall([key(1)]) == {key(1): "yes"}


def test_what_is_taken_over_is_not_written_again(tmp_path: Path) -> None:
    one, other = on(tmp_path, "one"), on(tmp_path, "other")
    one.keep(key(1), "yes", "0")
    assert one.flush(10)
    other.recall([key(1)])
    assert other.flush(10)
    assert len(list((tmp_path / "shared").rglob("*.parquet"))) == 1


def test_many_answers_are_few_files(tmp_path: Path) -> None:
    one = on(tmp_path, "one")
    for i in range(3000):
        one.keep(key(i), "text", "0")
    assert one.flush(10)
    assert 1 <= len(list((tmp_path / "shared").rglob("*.parquet"))) <= 3


def test_an_old_answer_of_others_is_asked_for_again(tmp_path: Path) -> None:
    SharedAnswers(str(tmp_path / "shared"), "m").append(answers(range(1), age=3 * DAY))
    assert on(tmp_path, "one", days=2.0).recall([key(0)]) == {}


def test_a_file_that_is_being_written_is_not_looked_at(tmp_path: Path) -> None:
    SharedAnswers(str(tmp_path / "shared"), "m").append(answers(range(2)))
    [whole] = (tmp_path / "shared").rglob("*.parquet")
    data = whole.read_bytes()
    (whole.parent / f".{whole.name}.part").write_bytes(data[: len(data) // 2])
    (whole.parent / ".hidden.parquet").write_bytes(data[: len(data) // 2])
    one = on(tmp_path, "one")
    assert len(one.recall([key(0), key(1)])) == 2
    assert one.trouble == ""


@pytest.mark.parametrize("spoilt", ["cut", "changed", "foreign", "of no format"])
def test_a_broken_file_is_said_once_and_the_others_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoilt: str
) -> None:
    shared = SharedAnswers(str(tmp_path / "shared"), "m")
    shared.append([Kept(key(5), "y" * 5000, "0", int(time.time()))])
    [path] = (tmp_path / "shared").rglob("*.parquet")
    data = bytearray(path.read_bytes())
    shared.append(answers(range(2)))
    if spoilt == "of no format":
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    elif spoilt == "foreign":
        pq.write_table(pq.read_table(path).drop_columns("at"), path)
    else:
        data[len(data) // 4] ^= 0xFF
        path.write_bytes(data[: len(data) // 2] if spoilt == "cut" else data)
    one = on(tmp_path, "one")
    for _ in range(3):
        look_again(one)
        assert set(one.recall([key(0), key(1), key(5)])) == {key(0), key(1)}
    assert capsys.readouterr().out.count("a shared file is left out") == 1
    one.keep(key(9), "yes", "0")
    assert one.flush(10)


def test_a_store_that_fails_now_and_then_costs_no_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    SharedAnswers(str(tmp_path / "shared"), "m").append(answers(range(2)))
    one, read = on(tmp_path, "one"), SharedAnswers.read
    monkeypatch.setattr(SharedAnswers, "read", lambda *_: (_ for _ in ()).throw(LedgerError("no answer in time")))
    look_again(one)
    assert not one.recall([key(0)])
    monkeypatch.setattr(SharedAnswers, "read", read)
    look_again(one)
    assert one.recall([key(0)])
    assert one.trouble == ""
    assert capsys.readouterr().out == ""


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    shared = SharedAnswers(str(tmp_path / "shared"), "m")
    name = shared.append(answers(range(1)))
    [path] = (tmp_path / "shared").rglob("*.parquet")
    pq.write_table(pq.read_table(path).replace_schema_metadata({"sparkllm.ledger": str(FORMAT + 1)}), path)
    with pytest.raises(LedgerError, match=f"format {FORMAT}"):
        shared.read(name)


def test_a_path_that_cannot_be_written_is_said_once_and_the_host_keeps_its_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shared").write_text("a file where the folder is to be")
    one = on(tmp_path, "one")
    for i in range(3):
        look_again(one)
        one.recall([key(i)])
        one.keep(key(i), "yes", "0")
        assert one.flush(10)
    assert capsys.readouterr().out.count("sparkllm:") == 1
    assert AnswerStore(tmp_path / "one").summary()[0] == 3


def test_a_uri_that_nobody_knows_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = Ledger(LedgerSettings(str(tmp_path / "one"), "nowhere://bucket/answers"), "m")
    one.keep(key(1), "yes", "0")
    assert one.flush(10)
    assert one.recall([key(1)]) == {key(1): "yes"}
    assert capsys.readouterr().out.count("answers are not shared") == 1


def test_a_look_that_takes_long_holds_no_question_back_for_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SharedAnswers(str(tmp_path / "shared"), "m").append(answers(range(1)))
    read, go = SharedAnswers.read, threading.Event()
    monkeypatch.setattr(SharedAnswers, "read", lambda *of: (go.wait(10), read(*of))[1])
    monkeypatch.setattr(others, "_WAIT_SECONDS", 0.1)
    one = on(tmp_path, "one")
    assert one.recall([key(0)]) == {}
    go.set()
    assert one._others is not None
    assert one._others._thread is not None
    one._others._thread.join(10)
    assert one.recall([key(0)]) == {key(0): "answer 0"}


def test_answers_are_shared_after_ten_seconds_at_the_latest() -> None:
    assert ledger_module._SHARE_SECONDS <= 10
