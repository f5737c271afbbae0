"""The engine as a Spark Python worker sees it: `connect`, `submit`, `result`.

Imports neither torch nor vllm; importing takes a fraction of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import flight

from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.control.budget import ControlAddress, Terms
from sparkllm.backend.engine import EngineInfo, EngineSpec, Sampling
from sparkllm.backend.events import note
from sparkllm.backend.folder import EngineFolder, root_for
from sparkllm.backend.launch import await_ready, end, end_earlier_applications
from sparkllm.backend.ledger.exchange import Beside, read_found, recall_question
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.backend.state import EngineState
from sparkllm.backend.submission import Submission
from sparkllm.backend.sweep import engines
from sparkllm.backend.wire import AUTHORIZATION, ENDPOINT_FAILED, ENGINE_DIED, PROMPTS, location
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError, EndpointError, EngineDiedError, EngineError, EngineStartError

__all__ = ["EngineClient", "Submission", "connect", "stop"]

_ACTION_SECONDS = 90.0  # and as long as it takes to find a hang: what a hanging server does not answer is asked again
# The watchdog sees, and says why, a moment after the socket broke.
_DEATH_SECONDS = 5.0
_CONNECT_TRIES = 5

_Key = tuple[int, Path, EngineSpec, int]
_clients: dict[_Key, EngineClient] = {}
_locks: defaultdict[_Key, threading.Lock] = defaultdict(threading.Lock)


def connect(
    config: LLMConfig,
    model: str | None,
    application: str,
    gpus: tuple[str, ...] = (),
    query: str = "",
    driver: ControlAddress | None = None,
) -> EngineClient:
    """The engine for `model` (None: the config's), started if no process of `application` on this host has done so.

    Cached per process: a second call with the same arguments only checks that the engine still answers.

    Args:
        gpus: addresses of the GPUs it is to run on; all that are visible when left out.
        query: on whose behalf; for the log.
        driver: whom to tell of a start that takes long.

    Raises:
        EngineStartError: the engine cannot start; the message says what to do.
        ConfigError: a setting cannot be used.
    """
    spec = EngineSpec.of(config, model, application, gpus)
    key = (os.getpid(), root_for(config.runtime_dir), spec, config.max_in_flight)
    with _locks[key]:
        known = _clients.get(key)
        if known is None or not known.answers():
            _clients[key] = known = _connect(spec, config, query, driver)
        return known


def stop(application: str | None = None, config: LLMConfig | None = None) -> int:
    """End this host's engines of `application` (None: all of this user in that runtime folder); return how many.

    Returns when their processes are gone.
    """
    root = root_for((config or LLMConfig()).runtime_dir)
    wanted = [folder for folder in engines(root) if application is None or folder.spec.application == application]
    return sum(end(folder) for folder in wanted)


def _connect(spec: EngineSpec, config: LLMConfig, query: str, driver: ControlAddress | None) -> EngineClient:
    started = 0.0
    end_earlier_applications(root_for(config.runtime_dir), spec.application)
    for _ in range(_CONNECT_TRIES):
        folder, state, seconds = await_ready(spec, config, query, driver)
        started += seconds
        client = EngineClient(folder, state, config.max_in_flight, started)
        # It may have decided to end (idle) between being found and being asked: then a fresh one is started.
        if client.answers():
            return client
        time.sleep(1.0)
    raise EngineStartError(
        f"expected the engine of model {spec.model!r} to answer on its socket; it was ready {_CONNECT_TRIES} times and "
        f"did not. See its log and try again. Log: {client.log}"
    )


class EngineClient:
    """A connection to one running engine; its methods may be called from any thread.

    Attributes:
        started_seconds: seconds this client itself spent starting the engine; 0.0 when it found it running.
    """

    def __init__(self, folder: EngineFolder, state: EngineState, max_in_flight: int, started_seconds: float) -> None:
        self.started_seconds = started_seconds
        self._unread_started_seconds = started_seconds
        self._folder = folder
        self._state = state
        self._max_in_flight = max_in_flight
        self._info: EngineInfo | None = None
        self._patience = _ACTION_SECONDS + folder.spec.hang_seconds
        token = folder.token.read_text(encoding="utf-8")
        self._headers = [(AUTHORIZATION.encode(), f"Bearer {token}".encode())]
        self._client = flight.FlightClient(location(folder.socket(state.launch)))

    @property
    def log(self) -> Path:
        """What this engine's processes say."""
        return self._folder.log_of(self._state.launch)

    def note(self, event: str, query: str) -> None:
        """Add a line to the engine's log of events."""
        note(self._folder, event, query)

    def faults(self) -> tuple[int, bool]:
        """(requests that are quarantined, whether the last engine died in the search for one); see quarantine.py."""
        found = self._ask("faults")
        return int(found["quarantined"]), bool(found["searching"])

    @property
    def info(self) -> EngineInfo:
        """What the engine is; asked for once."""
        if self._info is None:
            self._info = EngineInfo(**self._ask("info"))
        return self._info

    def take_started_seconds(self) -> float:
        """`started_seconds` at the first call, 0.0 afterwards: one task reports the start, not all."""
        seconds, self._unread_started_seconds = self._unread_started_seconds, 0.0
        return seconds

    def submit(
        self,
        token_ids: pa.ListArray,
        sampling: Sampling,
        query: str = "",
        beside: Beside | None = None,
        terms: Terms | None = None,
        restart: Callable[[EngineClient, EngineDiedError], EngineClient] | None = None,
    ) -> Submission:
        """Send prompts (a list of int32 token ids per row) on behalf of `query`; returns at once.

        A prompt the engine refuses (too long, empty) is that row's error, not the submission's. With `beside`, answers
        are kept, and a prompt whose answer came to be known since it was recalled is not asked. With `terms`, what the
        query's budget has no room for is that row's error, too. With `restart`, which is given an engine that died and
        returns another, what is unanswered is sent to that one.
        """
        ledger, engine = beside.ledger if beside is not None else None, self

        def go_on(error: EngineDiedError) -> None:
            nonlocal engine
            assert restart is not None
            engine = restart(engine, error)

        return Submission(
            token_ids,
            lambda: engine._exchange(sampling, query, ledger, terms),
            lambda error: engine._translate(error),
            beside,
            go_on if restart is not None else None,
        )

    def recall(self, ledger: LedgerSettings, keys: Sequence[bytes], query: str = "") -> dict[int, str]:
        """The answers that the ledger knows, by the place of their key; none where the ledger does not work."""
        found, trouble = read_found(self._act("recall", recall_question(ledger, query, keys)))
        if trouble:
            print(f"sparkllm: {trouble}", file=sys.stderr)
        return found

    @contextlib.contextmanager
    def hold(self, terms: Terms | None = None) -> Iterator[None]:
        """Keep the engine from counting as idle meanwhile: a task may wait long for its next rows.

        A holder that dies lets go. With `terms`, the engine knows from then on whom to report to.
        """
        writer, reader = self._exchange(Sampling(), "", terms=terms.unlimited if terms is not None else None)
        with contextlib.suppress(flight.FlightError, pa.ArrowException, OSError):  # a dead engine shows at its next use
            writer.begin(PROMPTS)
        try:
            yield
        finally:
            reader.cancel()
            with contextlib.suppress(flight.FlightError, pa.ArrowException, OSError):
                writer.close()

    def _exchange(
        self, sampling: Sampling, query: str, ledger: LedgerSettings | None = None, terms: Terms | None = None
    ) -> Any:
        command = {"sampling": sampling.to_json(), "max_in_flight": self._max_in_flight, "query": query}
        command |= {"ledger": ledger.to_json()} if ledger is not None else {}
        command |= {"terms": terms.to_json()} if terms is not None else {}
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command).encode())
        return self._client.do_exchange(descriptor, flight.FlightCallOptions(headers=self._headers))

    def frame(self, chat: Chat) -> Frame:
        """What stands around the messages of calls such as `chat`.

        Raises:
            ConfigError: this model cannot be asked so.
        """
        found = self._ask("frame", asdict(chat))
        if "error" in found:
            raise ConfigError(found["error"])
        return Frame(**found)

    def agree(self, key: str, proposal: str) -> str:
        """The first proposal any client of this engine made for `key`."""
        return str(self._ask("agree", [key, proposal]))

    def counters(self, query: str | None = None) -> dict[str, int]:
        """Requests, finished, aborted, failed, the three kinds of tokens, and prompts answered from the ledger.

        Of one query, or since the engine began.

        Where the engine speculates, also `speculation_<name>` for each name in `speculation.SPECULATION`: what the
        engine did while the query had streams.

        Of the last 1,000 queries each; an older or unknown one has zeros.
        """
        return dict(self._ask("counters", query))

    def reset_prefix_cache(self) -> None:
        """Forget all cached prefixes; requests under way keep theirs."""
        self._ask("reset_prefix_cache")

    def answers(self) -> bool:
        """Whether this very engine is still there and answers; counts as use, so it will not end as idle just now."""
        state = self._folder.state()
        if state.launch != self._state.launch or not state.serving:
            return False
        try:
            return bool(self.info) and "requests" in self.counters()
        except EngineError:
            return False

    def _ask(self, action: str, argument: Any = None) -> Any:
        return json.loads(self._act(action, json.dumps(argument).encode())[0].to_pybytes())

    def _act(self, action: str, body: bytes) -> list[pa.Buffer]:
        options = flight.FlightCallOptions(timeout=self._patience, headers=self._headers)
        try:
            return [result.body for result in self._client.do_action(flight.Action(action, body), options)]
        except (flight.FlightError, pa.ArrowException, OSError) as error:
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> EngineError:
        """What a broken call means: the engine is gone, or only this call failed."""
        if isinstance(error, EngineError):
            return error
        told = getattr(error, "extra_info", b"")
        if told.startswith(ENDPOINT_FAILED):
            return EndpointError(f"{told.removeprefix(ENDPOINT_FAILED).decode()}. Log: {self.log}")
        deadline = time.monotonic() + _DEATH_SECONDS
        while not (reason := self._why_gone()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not reason and not self._folder.state().serving:  # whatever its watchdog has come to say
            reason = "its server is gone"
        if not reason and told != ENGINE_DIED:
            return EngineError(f"the engine could not do what was asked: {error}. Log: {self.log}")
        reason = reason or "it no longer works"
        message = (
            f"expected the engine to answer, it ended with requests under way: {reason}. "
            f"Run the query again: a new engine starts by itself. Log: {self.log}"
        )
        return EngineDiedError(message, f"{reason} (log: {self.log})")

    def _why_gone(self) -> str:
        """Why this engine no longer serves; "" while it does, or while its watchdog has not yet said why."""
        state = self._folder.state()
        if state.launch != self._state.launch:
            return state.previous or "another one was started since"
        if state.serving or (state.running and not state.error):
            return ""
        return state.error or "its processes are gone"
