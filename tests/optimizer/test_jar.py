"""The jar of the Catalyst extension: built once, found again, and clear about what is missing."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sparkllm.errors import JavaError
from sparkllm.optimizer import jar as jar_module
from sparkllm.optimizer.jar import build_jar, find_java


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of its own and one small source: the compiler is the real one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jar_module, "_sources", lambda: {"One.scala": b"package sparkllm.catalyst; object One"})
    return tmp_path


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-01' >&2\n")
    java.chmod(0o755)
    return java


def test_the_jar_holds_the_extension_and_the_tasks() -> None:
    with zipfile.ZipFile(build_jar()) as archive:
        names = archive.namelist()
        tasks = archive.read("sparkllm/tasks.json")
    assert "sparkllm/catalyst/SparkLLMExtensions.class" in names
    assert tasks == (Path(jar_module.__file__).parents[1] / "tasks.json").read_bytes()


def test_processes_that_build_at_once_end_with_one_jar_which_is_kept(small: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: build_jar(), range(2))
    assert first == second
    assert [p.name for p in (small / "sparkllm").iterdir()] == [first.name]
    written = first.stat().st_mtime_ns
    assert build_jar().stat().st_mtime_ns == written


def test_another_source_is_another_jar(monkeypatch: pytest.MonkeyPatch, small: Path) -> None:
    first = build_jar()
    monkeypatch.setattr(jar_module, "_compile", lambda *_: None)
    monkeypatch.setattr(jar_module, "_sources", lambda: {"One.scala": b"object Other"})
    assert build_jar() != first


def test_a_cache_that_cannot_be_written_falls_back_to_a_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert tmp_path not in jar_module._cache_folder().parents


def test_a_cache_where_anybody_may_write_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jar_module._cache_folder() == tmp_path / "sparkllm"
    (tmp_path / "sparkllm").chmod(0o777)
    assert tmp_path not in jar_module._cache_folder().parents


def test_a_source_that_does_not_compile_shows_the_compilers_first_errors(
    monkeypatch: pytest.MonkeyPatch, small: Path
) -> None:
    monkeypatch.setattr(jar_module, "_sources", lambda: {"Bad.scala": b'object Bad { val x: Int = "text" }'})
    with pytest.raises(JavaError, match=r"(?s)does not compile against Spark \d.*Bad\.scala:1: error: type mismatch"):
        build_jar()
    assert list((small / "sparkllm").iterdir()) == []


def test_a_missing_java_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JavaError, match=r"`java` on PATH.*apt-get install openjdk-17-jre-headless"):
        find_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(JavaError, match=r"JAVA_HOME/bin/java"):
        find_java()


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2"])
def test_an_old_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    fake_java(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(JavaError, match=rf"Java 17 or later; .* is openjdk version \"{version}\""):
        find_java()


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_java_17_and_later_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    java = fake_java(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == str(java)
