"""Who has not the engine's token, or another's folder in hand, gets nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from sparkllm.backend.client import stop
from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.folder import EngineFolder
from sparkllm.backend.paid import paid
from sparkllm.backend.processes import ProcessRef
from sparkllm.backend.state import EngineState
from sparkllm.backend.wire import AUTHORIZATION, PROMPTS
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineStartError

from .fake import TOKEN, Served, served

SPEC = EngineSpec.of(LLMConfig(), None, "app")
RIGHT = f"Bearer {TOKEN}"
REFUSED: dict[str, list[str]] = {
    "no token": [],
    "an empty one": [""],
    "a wrong one": ["Bearer 0123456788"],
    "the beginning of the right one": [RIGHT[:-1]],
    "the right one without its scheme": [TOKEN],
    "a wrong one and the right one": ["Bearer 0123456788", RIGHT],
    "the right one twice": [RIGHT, RIGHT],
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "s") as one:
        yield one


def exchange(client: flight.FlightClient, options: flight.FlightCallOptions) -> None:
    descriptor = flight.FlightDescriptor.for_command(b"not even JSON: whoever read it would fail otherwise")
    writer, reader = client.do_exchange(descriptor, options)
    writer.begin(PROMPTS)
    list(reader)


def put(client: flight.FlightClient, options: flight.FlightCallOptions) -> None:
    writer, _ = client.do_put(flight.FlightDescriptor.for_path("x"), PROMPTS, options)
    writer.close()


CALLS: dict[str, Callable[[flight.FlightClient, flight.FlightCallOptions], Any]] = {
    "do_action": lambda client, options: list(client.do_action(flight.Action("stop", b"not JSON"), options)),
    "do_exchange": exchange,
    "do_put": put,
    "do_get": lambda client, options: client.do_get(flight.Ticket(b"x"), options).read_all(),
    "list_flights": lambda client, options: list(client.list_flights(b"", options)),
    "list_actions": lambda client, options: client.list_actions(options),
    "get_flight_info": lambda client, options: client.get_flight_info(flight.FlightDescriptor.for_path("x"), options),
}


@pytest.mark.parametrize("given", REFUSED)
def test_no_call_is_read_before_its_token_is_checked(service: Served, given: str) -> None:
    headers = [(AUTHORIZATION.encode(), value.encode()) for value in REFUSED[given]]
    used = service.requests._last_use
    with flight.connect(service.address) as client:
        for name, call in CALLS.items():
            with pytest.raises(flight.FlightUnauthenticatedError, match="token"):
                call(client, flight.FlightCallOptions(headers=headers, timeout=30))
            assert not service.stopped.is_set(), name
    assert service.engine.asked == 0
    assert service.requests._last_use == used, "not even that somebody called"


def test_what_is_not_as_it_should_be_fails_its_call_alone(service: Served) -> None:
    with flight.connect(service.address) as client:
        for body in (b"\x80\x04cos\nsystem\n", b"[1", b'{"__reduce__": 1}'):
            with pytest.raises((flight.FlightError, pa.ArrowException)):
                list(client.do_action(flight.Action("agree", body), service.options()))
        with pytest.raises((flight.FlightError, pa.ArrowException)):
            exchange(client, service.options())
    assert json.loads(service.ask("info"))["model"] == "fake"


def somebody_elses(folder: Path) -> Path:
    """A folder of another user: one that is given away, or, without the right to, the machine's own."""
    if os.getuid():
        return Path("/usr")
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    return folder


def test_a_root_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineStartError, match=f"a folder of user {os.getuid()} with mode 0700"):
        EngineFolder.of(somebody_elses(tmp_path / "theirs"), SPEC)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_root_where_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(EngineStartError, match="0700"):
        EngineFolder.of(tmp_path / "open", SPEC)


@pytest.mark.parametrize("planted", ["link", "link to nowhere", "file"])
def test_what_is_planted_in_the_roots_place_is_refused(tmp_path: Path, planted: str) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    root = tmp_path / "sparkllm-0"
    if planted == "file":
        root.touch()
    else:
        root.symlink_to(tmp_path / ("mine" if planted == "link" else "nowhere"))
    with pytest.raises(EngineStartError, match="expected"):
        EngineFolder.of(root, SPEC)
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize("root_mode", [0o777, 0o700])
def test_a_planted_state_ends_nobodys_processes(tmp_path: Path, root_mode: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    folder = EngineFolder.of(tmp_path / "rt", SPEC)
    folder.write_state(
        EngineState("ready", "0123", watchdog=ProcessRef.of(process.pid), server=ProcessRef.of(process.pid))
    )
    folder.path.chmod(0o755)
    folder.path.parent.chmod(root_mode)
    config = LLMConfig(runtime_dir=str(tmp_path / "rt"))
    try:
        assert stop(config=config) == 0
        assert paid("app", "1", config) is None
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
