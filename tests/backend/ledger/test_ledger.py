"""The ledger in a server: answers are there as soon as they are kept, and what breaks it breaks no query."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from sparkllm.backend.engine import Answer, Sampling
from sparkllm.backend.folder import root_for
from sparkllm.backend.ledger.batches import Batches
from sparkllm.backend.ledger.ledger import Ledger, Ledgers, may_be_kept
from sparkllm.backend.ledger.settings import LedgerSettings, ledger_folder
from sparkllm.backend.ledger.store import AnswerStore, Kept, path_in
from sparkllm.config import LLMConfig
from tests.backend.ledger.test_store import key

ONE = key(1)


def at(folder: Path, **settings: object) -> LedgerSettings:
    return LedgerSettings(str(folder), **settings)  # type: ignore[arg-type]


def test_an_answer_is_known_at_once_and_on_the_disk_soon(tmp_path: Path) -> None:
    ledger = Ledger(at(tmp_path), "m")
    ledger.keep(ONE, "yes", "0")
    assert ledger.find([ONE, key(2)]) == {ONE: "yes"}
    began = time.monotonic()
    while not AnswerStore(tmp_path).recall([ONE]):
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    assert ledger.find([ONE]) == {ONE: "yes"}
    assert ledger.trouble == ""


def test_many_answers_are_few_transactions(tmp_path: Path) -> None:
    ledger, sizes = Ledger(at(tmp_path), "m"), []
    assert ledger._store is not None
    write = ledger._store.write
    ledger._store.write = lambda answers: (sizes.append(len(list(answers))), write(answers))  # type: ignore
    for i in range(5000):
        ledger.keep(key(i), "text", "0")
    assert ledger.flush(10)
    assert sum(sizes) >= 5000
    assert len(sizes) < 50
    assert AnswerStore(tmp_path).summary()[0] == 5000


def test_the_size_limit_holds_while_answers_come(tmp_path: Path) -> None:
    ledger = Ledger(at(tmp_path, max_bytes=300_000), "m")
    for i in range(20_000):
        ledger.keep(key(i), "x" * 100, "0")
        if i % 500 == 0:
            assert ledger.flush(10)
    assert ledger.flush(10)
    assert AnswerStore(tmp_path).used_bytes() < 600_000
    assert ledger.find([key(19_999)])


BROKEN = {
    "no database": lambda folder: path_in(folder).write_bytes(b"nothing of the kind " * 1000),
    "a file where the folder is to be": lambda folder: (folder.rmdir(), folder.write_text("a file")),
    "of another format": lambda folder: _of_format(folder, 99),
    "others may write": lambda folder: folder.chmod(0o777),
}


def _of_format(folder: Path, version: int) -> None:
    AnswerStore(folder).close()
    with sqlite3.connect(path_in(folder)) as database:
        database.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("how", BROKEN)
def test_a_ledger_that_cannot_be_used_is_said_once_and_keeps_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir(mode=0o700)
    BROKEN[how](folder)  # type: ignore[operator]
    ledger = Ledgers("m").of(at(folder))
    for i in range(10):
        assert ledger.recall([key(i)]) == {}
        ledger.keep(key(i), "yes", "0")
    assert ledger.flush(1)
    assert "The query goes on" in ledger.trouble
    assert capsys.readouterr().out.count("sparkllm:") == 1


def test_a_file_that_breaks_while_it_is_open_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(at(tmp_path), "m")
    for i in range(3000):
        ledger.keep(key(i), "x" * 200, "0")
    assert ledger.flush(10)
    assert ledger._store is not None
    ledger._store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path_in(tmp_path).open("r+b") as file:
        file.write(b"\xff" * path_in(tmp_path).stat().st_size)
    ledger._store._reader.execute("PRAGMA cache_size = 0")
    for i in range(3000):
        assert ledger.find([key(i)]).get(key(i)) in (None, "x" * 200)
    ledger.keep(key(5000), "yes", "0")
    assert ledger.flush(5)
    assert capsys.readouterr().out.count("sparkllm:") == 1


def test_a_ledger_that_cannot_be_opened_now_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("sparkllm.backend.ledger.store._connect", full)
    ledger = Ledger(at(tmp_path), "m")
    ledger.keep(ONE, "yes", "0")
    assert "tried every" in ledger.trouble
    monkeypatch.undo()
    ledger._open_again = time.monotonic()
    ledger.keep(ONE, "yes", "0")
    assert ledger.flush(10)
    assert AnswerStore(tmp_path).recall([ONE])
    assert ledger.trouble == ""
    assert capsys.readouterr().out.splitlines()[-1] == "sparkllm: answers are kept again"


def test_a_log_whose_disk_is_full_too_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a file").touch()
    with contextlib.suppress(OSError), Path("/dev/full").open("w") as nowhere:  # to close it fails, too
        monkeypatch.setattr(sys, "stdout", nowhere)
        ledger = Ledger(at(tmp_path / "a file"), "m")
        monkeypatch.undo()
    assert "The query goes on" in ledger.trouble


FULL = """
import resource, signal, sys
from tests.backend.ledger.test_ledger import fill
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
fill(sys.argv[1])
"""


def fill(folder: str) -> None:
    """Keep more than fits, and go on; what was committed before is still told."""
    ledger = Ledger(LedgerSettings(folder), "m")
    for i in range(50):
        ledger.keep(key(i), "x" * 50_000, "0")
        ledger.flush(5.0)
    assert ledger.trouble
    assert ledger.flush(5.0)
    known = len(ledger.find([key(i) for i in range(50)]))
    assert 0 < known < 50
    print(f"{known} known", file=sys.stderr)


def test_a_full_disk_is_said_once_and_what_was_kept_is_still_told(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "ledger")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3], timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("sparkllm: answers are not kept, until it works again") == 1


def test_a_disk_with_room_again_is_used_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(at(tmp_path), "m")
    assert ledger._store is not None
    full = ledger._store._writer.execute("PRAGMA page_count").fetchone()[0] + 2
    ledger._store._writer.execute(f"PRAGMA max_page_count = {full}")
    ledger.keep(key(1), "x" * 100_000, "0")
    assert ledger.flush(5)
    ledger.keep(key(2), "yes", "0")
    assert ledger.find([key(1), key(2)]) == {}, "it is not tried again at once"
    ledger._store._writer.execute("PRAGMA max_page_count = 1000000")
    ledger._write_again = time.monotonic()  # a minute later
    ledger.keep(key(3), "yes", "0")
    assert ledger.flush(5)
    assert AnswerStore(tmp_path).recall([key(1), key(2), key(3)]) == {key(3): "yes"}
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("sparkllm:")]
    assert len(said) == 2
    assert "full" in said[0]
    assert said[1] == "sparkllm: answers are kept again"
    assert ledger.trouble == ""


@pytest.mark.parametrize(
    ("answer", "sampling", "kept"),
    [
        (Answer("yes"), Sampling(), True),
        (Answer(""), Sampling(), True),
        (Answer(None, "refused"), Sampling(), False),
        (Answer(None, "cut", truncated=True), Sampling(), False),
        (Answer("yes"), Sampling(temperature=0.1), False),
        (Answer("yes"), Sampling(choices=("yes", "no")), True),
        (Answer("ye"), Sampling(choices=("yes", "no")), False),
        (Answer('{"a": 1}'), Sampling(json_schema="{}"), True),
        (Answer('{"a": '), Sampling(json_schema="{}"), False),
        (Answer("[1]"), Sampling(json_schema="{}"), False),
    ],
)
def test_only_an_answer_of_the_form_asked_for_is_kept(answer: Answer, sampling: Sampling, kept: bool) -> None:
    assert may_be_kept(answer, sampling) is kept


def test_where_the_ledger_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert ledger_folder(LLMConfig()) == tmp_path / "cache" / "sparkllm" / "ledger"
    assert ledger_folder(LLMConfig(runtime_dir="/run/me")) == Path("/run/me/ledger")
    assert ledger_folder(LLMConfig(ledger="/data/answers")) == Path("/data/answers")
    assert not (tmp_path / "cache").exists()


def test_a_home_that_hosts_share_holds_no_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's WAL mode is for one host; the second one would break the file."""
    mounts = [SimpleNamespace(mountpoint=str(path), fstype=kind) for path, kind in [("/", "ext4"), (tmp_path, "nfs4")]]
    monkeypatch.setattr("psutil.disk_partitions", lambda **_: mounts)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert ledger_folder(LLMConfig()) == root_for("") / "ledger"
    ledger = Ledger(at(tmp_path / "ledger"), "m")
    for part in (f"expected {tmp_path / 'ledger'} on a disk of this host, found nfs4", "ledgerSharedPath"):
        assert part in ledger.trouble
    assert not (tmp_path / "ledger").exists()


def test_a_server_keeps_few_ledgers_open_and_an_answer_of_an_earlier_one_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> int:
        gc.collect()
        here = (one for one in gc.get_objects() if isinstance(one, AnswerStore))
        return sum(one.path == path_in(tmp_path) for one in here)

    monkeypatch.setattr("sparkllm.backend.ledger.batches._IDLE_SECONDS", 0.05)
    ledgers = Ledgers("m")
    for days in range(40):
        ledgers.of(LedgerSettings(str(tmp_path), days=1.0 + days)).keep(key(days), "yes", "0")
    until = time.monotonic() + 30
    while opened() > 8 and time.monotonic() < until:
        time.sleep(0.1)
    assert opened() == 8
    ledgers.flush()
    assert all(ledgers.of(LedgerSettings(str(tmp_path), days=1.0 + days)).flush(10) for days in range(32, 40))
    assert len(AnswerStore(tmp_path).recall([key(days) for days in range(40)])) == 40


def test_a_folder_that_is_slow_to_open_holds_no_other_up(tmp_path: Path) -> None:
    ledgers = Ledgers("m")
    (tmp_path / "slow").mkdir(mode=0o700)
    with FileLock(tmp_path / "slow" / "open.lock"):
        waits = threading.Thread(target=ledgers.of, args=(at(tmp_path / "slow"),))
        waits.start()
        assert not ledgers.of(at(tmp_path / "other")).trouble
        assert waits.is_alive()
    waits.join(30)
    assert not ledgers.of(at(tmp_path / "slow")).trouble


def test_long_answers_that_wait_for_the_disk_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    goes_on, written = threading.Event(), list[Kept]()

    def write(answers: list[Kept]) -> None:
        goes_on.wait(30)
        written.extend(answers)

    batches = Batches(write, lambda _: True, seconds=0.0, most=1)
    for i in range(200):
        batches.add(Kept(key(i % 100), "x" * 1_000_000, "0", i))
    assert batches._bytes < (64 << 20) + 1_000_002
    goes_on.set()
    assert batches.flush(30)
    assert batches._bytes == 0
    assert 60 < len({kept.key for kept in written}) < 70


def test_the_thread_that_writes_ends_when_idle_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkllm.backend.ledger.batches._IDLE_SECONDS", 0.05)
    written = list[Kept]()
    batches = Batches(written.extend, lambda _: True, seconds=0.0, most=1)
    for i in range(3):
        batches.add(Kept(key(i), "yes", "0", i))
        assert batches.flush(30)
        until = time.monotonic() + 30
        while batches._thread is not None and time.monotonic() < until:
            time.sleep(0.02)
        assert batches._thread is None
    assert [kept.at for kept in written] == [0, 1, 2]


def test_sampled_answers_have_no_ledger() -> None:
    assert LedgerSettings.of(LLMConfig(temperature=0.5)) is None
    assert LedgerSettings.of(LLMConfig(ledger="off")) is None
    settings = LedgerSettings.of(LLMConfig(ledger="/data", ledger_days=1, ledger_max_bytes=7, ledger_shared_path="s"))
    assert settings == LedgerSettings("/data", "s", 7, 1.0)
    assert LedgerSettings.from_json(settings.to_json()) == settings
