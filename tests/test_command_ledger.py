"""`sparkllm ledger`: what is kept, and how it is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkllm.backend.ledger import store
from sparkllm.backend.ledger.store import FORMAT, AnswerStore, path_in
from sparkllm.command_line import main
from tests.backend.ledger.test_store import answers, key


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["ledger", *arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_stats_tell_number_time_and_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    AnswerStore(tmp_path).write(answers(range(1234)))
    code, out = run(capsys, "stats", "--folder", str(tmp_path))
    assert code == 0
    assert "1,234" in out
    assert "bytes" in out


def test_without_a_ledger_there_are_none_and_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "stats", "--folder", str(tmp_path / "no")) == (0, f"ledger   {tmp_path / 'no'}\nanswers  none\n")
    assert run(capsys, "clear", "--folder", str(tmp_path / "no")) == (0, f"no answers in {tmp_path / 'no'}\n")
    assert not (tmp_path / "no").exists()


def test_clear_forgets_all_for_engines_at_work_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = AnswerStore(tmp_path)
    engine.write(answers(range(5)))
    assert run(capsys, "clear", "--folder", str(tmp_path)) == (0, f"removed 5 answers from {tmp_path}\n")
    assert engine.recall([key(1)]) == {}


def test_a_broken_ledger_is_one_line_and_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path_in(tmp_path).write_bytes(b"nothing of the kind " * 1000)
    code, out = run(capsys, "stats", "--folder", str(tmp_path))
    assert (code, len(out.splitlines())) == (2, 1)
    assert "not a database" in out
    assert "broken" in run(capsys, "clear", "--folder", str(tmp_path))[1]
    assert "none" in run(capsys, "stats", "--folder", str(tmp_path))[1]


def test_a_ledger_in_use_is_not_taken_for_a_broken_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_BUSY_SECONDS", 0.1)
    engine = AnswerStore(tmp_path)
    engine.write(answers(range(5)))
    with engine._transaction():
        code, out = run(capsys, "clear", "--folder", str(tmp_path))
    assert code == 2
    assert "locked" in out
    assert "nothing was removed" in out
    assert engine.recall([key(1)])


def test_ledgers_of_other_versions_are_named_and_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / f"answers-{FORMAT + 1}.sqlite"
    other.write_bytes(b"of the future")
    assert other.name in run(capsys, "stats", "--folder", str(tmp_path))[1]
    run(capsys, "clear", "--folder", str(tmp_path))
    assert not other.exists()


def test_by_default_it_is_the_one_that_queries_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    AnswerStore(tmp_path / "sparkllm" / "ledger").write(answers(range(3)))
    assert "answers  3" in run(capsys, "stats")[1]
