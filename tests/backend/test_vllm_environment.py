"""What vLLM's processes are told through their environment."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.folder import is_private
from sparkllm.backend.vllm_environment import prepare_environment
from sparkllm.config import LLMConfig

SPEC = EngineSpec.of(LLMConfig(), None, "app")
SOCKET_PATH, NAME = 107, len("/01234567-0123-0123-0123-012345678901")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    copy = dict(os.environ)
    monkeypatch.setattr(os, "environ", copy)
    return copy


def test_vllms_sockets_lie_in_the_engines_folder_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "ipc").mkdir()
    (tmp_path / "ipc" / "of-an-engine-that-was-killed").touch()
    prepare_environment(SPEC, tmp_path)
    assert Path(environment["VLLM_RPC_BASE_PATH"]).resolve() == tmp_path / "ipc"
    assert is_private(tmp_path / "ipc")
    assert not list((tmp_path / "ipc").iterdir())


def test_kernels_of_a_cpu_are_kept_up_to_a_number_that_users_may_set(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    cpu = replace(SPEC, devices="cpu")
    environment.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    prepare_environment(cpu, tmp_path)
    assert environment["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "256"
    environment["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "99"
    prepare_environment(cpu, tmp_path)
    assert environment["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "99"


def test_a_long_path_of_the_folder_leaves_room_for_their_names(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.chdir(long)  # as the server's processes are
    prepare_environment(SPEC, long)
    assert len(environment["VLLM_RPC_BASE_PATH"]) + NAME <= SOCKET_PATH
    assert Path(environment["VLLM_RPC_BASE_PATH"]).resolve() == long / "ipc"


def test_no_setting_of_the_host_lets_vllm_read_pickles(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"
    prepare_environment(SPEC, tmp_path)
    assert environment["VLLM_ALLOW_INSECURE_SERIALIZATION"] == "0"
