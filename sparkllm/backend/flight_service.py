"""The Flight service in front of the engine: who may call, one exchange per submission, the few actions."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from pyarrow import flight

from sparkllm.backend.chat import Chat
from sparkllm.backend.control.budget import Terms
from sparkllm.backend.engine import Sampling
from sparkllm.backend.ledger.exchange import found_messages, read_question
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.backend.log_line import log_line
from sparkllm.backend.requests import Requests
from sparkllm.backend.token_check import TokenCheck
from sparkllm.backend.wire import ANSWERS, ENDPOINT_FAILED, ENGINE_DIED, Prompt, answer_batch, prompt_rows
from sparkllm.errors import EndpointError, EngineDiedError, SparkLLMError

__all__ = ["FlightService"]

_POLL_SECONDS = 0.2
_AGREEMENTS = 10_000
_ACTION_SECONDS = 60.0
_MOST_TOKENS = 2**21  # of one stream's requests: as Python's integers they take some 40 bytes each


class FlightService(flight.FlightServerBase):
    """Serves `requests`; gRPC calls the methods from threads of its own."""

    def __init__(self, location: str, token: str, requests: Requests, stop: Callable[[], None]) -> None:
        super().__init__(location, middleware={"token": TokenCheck(token)})
        self._requests = requests
        self._stop = stop
        self._agreed: OrderedDict[str, str] = OrderedDict()
        self._agreed_lock = threading.Lock()
        self._said_beside = False

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Prompts in, answers out as they finish, in any order."""
        command = json.loads(descriptor.command)
        limit = int(command["max_in_flight"])
        writer.begin(ANSWERS)
        prompts = _prompts(reader)
        ledger = self._requests.ledgers.of(LedgerSettings.from_json(command["ledger"])) if "ledger" in command else None
        terms = Terms.from_json(command["terms"]) if "terms" in command else None
        sampling = Sampling.from_json(command["sampling"])
        try:
            with self._requests.stream(sampling, command["query"], ledger, terms) as stream:
                more = True
                # Read no more than the engine may hold: gRPC's flow control then holds the client back.
                while (more or stream.in_flight) and not context.is_cancelled():
                    if more and (room := limit - stream.in_flight) and stream.tokens_in_flight < _MOST_TOKENS:
                        rows, more = _some(prompts, room, _MOST_TOKENS - stream.tokens_in_flight)
                        stream.start(rows)
                    if stream.in_flight and (answers := stream.collect(_POLL_SECONDS)):
                        writer.write_batch(answer_batch(answers))
        except EngineDiedError as error:
            raise flight.FlightUnavailableError(str(error), ENGINE_DIED) from error
        except EndpointError as error:
            raise flight.FlightInternalError(str(error), ENDPOINT_FAILED + str(error).encode()) from error

    def do_action(self, context: Any, action: flight.Action) -> Iterator[bytes]:
        """One JSON value for each of: info, agree, counters, faults, frame, reset_prefix_cache, stop; recall:
        see `found_messages`."""
        body = action.body.to_pybytes()
        if action.type != "counters" or json.loads(body) is None:  # reading a report is no use of the engine
            self._requests.touch()
        if action.type == "recall":
            return self._recall(*read_question(body))
        actions: dict[str, Callable[[], Any]] = {
            "info": lambda: json.loads(self._requests.engine.info.to_json()),
            "agree": lambda: self._agree(*json.loads(body)),
            "counters": lambda: dict(self._requests.counters(json.loads(body))),
            "faults": self._faults,
            "frame": lambda: self._frame(Chat(**json.loads(body))),
            "reset_prefix_cache": self._reset_prefix_cache,
            "stop": self._stop,
        }
        if action.type not in actions:
            raise flight.FlightServerError(
                f"an action of {', '.join(actions)}, recall was expected, got {action.type!r}"
            )
        return iter([json.dumps(actions[action.type]()).encode()])

    def _recall(self, settings: LedgerSettings, query: str, keys: list[bytes]) -> Iterator[bytes]:
        ledger = self._requests.ledgers.of(settings)
        found = ledger.recall(keys)
        self._requests.count_recalled(query, len(found))
        return found_messages(keys, found, ledger.take_trouble(query))

    def _agree(self, key: str, proposal: str) -> str:
        with self._agreed_lock:
            agreed = self._agreed.setdefault(key, proposal)
            self._agreed.move_to_end(key)
            if len(self._agreed) > _AGREEMENTS:
                self._agreed.popitem(last=False)
            return agreed

    def _faults(self) -> dict[str, int | bool]:
        quarantine = self._requests.quarantine
        return {"quarantined": quarantine.quarantined, "searching": quarantine.searching}

    def _frame(self, chat: Chat) -> dict[str, Any]:
        """Of calls such as `chat`; or what is wrong with them, which is no trouble of the engine's."""
        try:
            frame = self._requests.engine.frame(chat)
        except SparkLLMError as error:
            return {"error": str(error)}
        if frame.beside and not self._said_beside:
            self._said_beside = True
            said = "this model's chat template takes no system prompt: it stands before the user's message"
            log_line(said)
            self._requests.note(said, "")
        return asdict(frame)

    def _reset_prefix_cache(self) -> None:
        future = asyncio.run_coroutine_threadsafe(self._requests.engine.reset_prefix_cache(), self._requests.loop)
        future.result(_ACTION_SECONDS)


def _prompts(reader: Any) -> Iterator[Prompt]:
    for chunk in reader:
        batch: pa.RecordBatch = chunk.data
        yield from prompt_rows(batch)


def _some(prompts: Iterator[Prompt], rows: int, tokens: int) -> tuple[list[Prompt], bool]:
    """(the next prompts: up to `rows` of them, and no more once they have `tokens`; whether there may be more)."""
    taken: list[Prompt] = []
    for prompt in prompts:
        taken.append(prompt)
        tokens -= len(prompt.token_ids)
        if len(taken) == rows or tokens <= 0:
            return taken, True
    return taken, False
