"""A start that takes long is announced, to the driver where there is one, and not too often."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sparkllm.backend import download, launch, start_notice
from sparkllm.backend.client import connect, stop
from sparkllm.backend.control.budget import ControlAddress
from sparkllm.backend.control.notice import Notices, tell_driver
from sparkllm.backend.control.service import ControlService
from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.folder import EngineFolder
from sparkllm.backend.start_notice import StartNotice
from sparkllm.config import LLMConfig

from .stand_in import start_stand_ins

ELSEWHERE = ControlAddress("grpc+tcp://driver.cluster:1", "0123456789")


@pytest.fixture
def folder(tmp_path: Path) -> EngineFolder:
    tmp_path.chmod(0o700)
    return EngineFolder.of(tmp_path, EngineSpec.of(LLMConfig(model="org/large"), None, "app"))


def lines(notice: StartNotice, capsys: pytest.CaptureFixture[str], until: int) -> list[str]:
    for second in range(until):
        notice.look(float(second))
    return capsys.readouterr().err.splitlines()


def test_lines_come_twice_as_late_each_time_and_then_every_minute(
    folder: EngineFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    said = lines(StartNotice(folder, 5.0, "7", None), capsys, 300)
    assert [line.partition("org/large: ")[2].partition(" s so far; log: ")[0] for line in said] == [
        "5", "10", "20", "40", "80", "140", "200", "260",
    ]  # fmt: skip
    events = folder.events.read_text().splitlines()
    assert len(events) == len(said)
    assert "query=7" in events[0]
    assert events[0].endswith("still starting after 5 s")


def test_no_seconds_mean_no_lines(folder: EngineFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(StartNotice(folder, 0.0, "", None), capsys, 300) == []
    assert not folder.events.exists()


def test_a_line_tells_how_far_the_download_is(folder: EngineFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.loading.write_text("downloading 3.1 of 15.2 GB")
    (line,) = lines(StartNotice(folder, 5.0, "", None), capsys, 6)
    assert line.startswith("sparkllm: loading model org/large: downloading 3.1 of 15.2 GB, 5 s so far; log: ")


def test_the_driver_prints_it_and_is_told_which_host(
    folder: EngineFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def once(address: ControlAddress, text: str) -> bool:
        told.append(text)
        return len(told) == 1

    monkeypatch.setattr(start_notice, "tell_driver", once)
    said = lines(StartNotice(folder, 5.0, "", ELSEWHERE), capsys, 11)
    assert told[0] == f"loading model org/large on {os.uname().nodename}: 5 s so far"
    assert len(said) == 1, "the second time the driver did not answer"


def test_the_drivers_service_shows_a_line_and_no_flood(capsys: pytest.CaptureFixture[str]) -> None:
    service = ControlService("127.0.0.1", "127.0.0.1")
    try:
        assert tell_driver(service.address, "loading model a\x1b[2J")
        assert tell_driver(service.address, "loading model b")
        wrong = ControlAddress(service.address.location, "another token")
        assert not tell_driver(wrong, "loading model c")
    finally:
        service.shutdown()
    assert not tell_driver(service.address, "loading model d")
    assert capsys.readouterr().err == "sparkllm: loading model a [2J\n"
    notices = Notices()
    notices.show("one")
    notices._last -= 10.0
    notices.show("two")
    assert capsys.readouterr().err == "sparkllm: one\nsparkllm: two\n"


def test_who_starts_an_engine_announces_it_and_who_waits_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start_stand_ins(monkeypatch)
    tmp_path.chmod(0o700)
    config = LLMConfig(runtime_dir=str(tmp_path), start_notice_seconds=0.2)
    made: list[StartNotice] = []

    def make(*args: Any) -> StartNotice:
        made.append(StartNotice(*args))
        return made[-1]

    monkeypatch.setattr(launch, "StartNotice", make)
    spec = EngineSpec.of(config, None, "tests-notice")
    try:
        waiting = threading.Thread(target=lambda: launch.await_ready(spec, config))
        waiting.start()
        connect(config, None, "tests-notice")
        waiting.join()
    finally:
        stop("tests-notice", config)
    assert "loading model" in capsys.readouterr().err
    spoke = [notice for notice in made if notice._next > 0.2]
    assert (len(made), len(spoke)) == (2, 1)


def test_what_is_there_of_a_download_is_counted_by_its_files(tmp_path: Path) -> None:
    files = {"aa": 1000, "bb": 500, "cc": 50}
    (tmp_path / "aa.1234.incomplete").write_bytes(b"x" * 300)
    (tmp_path / "bb").write_bytes(b"x" * 500)
    (tmp_path / "of-an-older-version").write_bytes(b"x" * 9000)
    assert download.downloaded(tmp_path, files) == 800
    assert download.downloaded(tmp_path / "not there", files) == 0


def test_a_download_is_followed_until_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "weight_files", lambda model: {"aa": 2_000_000_000})
    monkeypatch.setattr(download, "_PERIOD_SECONDS", 0.01)
    sizes = iter([0, 1_000_000_000, 2_000_000_000])
    monkeypatch.setattr(download, "downloaded", lambda blobs, files: next(sizes))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "0")
    said: list[str] = []
    download.follow_download("org/large", str(tmp_path), said.append)
    deadline = time.monotonic() + 10
    while said[-1:] != [""] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert said == ["downloading 0.0 of 2.0 GB", "downloading 1.0 of 2.0 GB", ""]


@pytest.mark.parametrize(("model", "offline"), [("/a/folder", "0"), ("org/large", "1")])
def test_nothing_is_asked_of_the_hub_for_a_folder_or_offline(
    model: str, offline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(download, "weight_files", asked.append)
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    download.follow_download(model, None, lambda text: None)
    time.sleep(0.1)
    assert asked == []
