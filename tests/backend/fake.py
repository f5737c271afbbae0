"""An engine without a model: answers with the sum of the token ids, as fast or as slowly as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow import flight

from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.control.budget import Terms
from sparkllm.backend.engine import Answer, EngineInfo, Sampling
from sparkllm.backend.flight_service import FlightService
from sparkllm.backend.ledger.exchange import Beside
from sparkllm.backend.quarantine import Quarantine
from sparkllm.backend.requests import Requests
from sparkllm.backend.submission import Submission
from sparkllm.backend.wire import AUTHORIZATION, location
from sparkllm.errors import EngineDiedError, EngineError

TOKEN = "0123456789"


class FakeEngine:
    """Prompts that start with -1 are refused, with -2 never answered, with -3 end the engine, with -4 are a mistake."""

    info = EngineInfo("fake", 128, 16, "cpu", "{}", "<", ">", "0", fingerprint="fake")
    dead = hangs = False
    dies_after: int | None = None  # answers; the next one is its death, with what is under way

    def __init__(self) -> None:
        self.answered = 0
        self.asked = 0
        self.running = 0
        self.most_running = 0
        self.resets = 0

    async def answer(self, request_id: str, token_ids: list[int], sampling: Sampling) -> Answer:
        self.asked += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._answer(token_ids)
        finally:
            self.running -= 1

    async def _answer(self, token_ids: list[int]) -> Answer:
        # Answers out of order, as vLLM's do.
        await asyncio.sleep((sum(token_ids[:3]) % 7) / 1000)
        if token_ids[:1] == [-1]:
            return Answer(None, "refused")
        if token_ids[:1] == [-2]:
            await asyncio.sleep(3600)
        if token_ids[:1] == [-4]:
            raise ZeroDivisionError("a mistake of ours")
        self.dead |= token_ids[:1] == [-3] or self.answered == self.dies_after
        if self.dead:
            raise EngineDiedError("gone")
        self.answered += 1
        return Answer(str(sum(token_ids)), None, len(token_ids), 1, 1)

    def frame(self, chat: Chat) -> Frame:
        return Frame(f"<{chat.system}", ">", beside=bool(chat.system))

    async def ping(self) -> None:
        if self.hangs:
            await asyncio.sleep(3600)

    async def reset_prefix_cache(self) -> None:
        self.resets += 1

    def speculation(self) -> dict[str, int]:
        return {}


class Served:
    """A fake engine behind a real Flight service on a real Unix socket."""

    def __init__(self, socket: Path, folder: Path | None = None) -> None:
        """`folder`: where it learns what earlier ones died of."""
        self.loop = asyncio.new_event_loop()
        self.engine = FakeEngine()
        self.requests = Requests(self.engine, self.loop, Quarantine(folder, lambda: self.engine.dead))
        self.stopped = threading.Event()
        self.service = FlightService(location(socket), TOKEN, self.requests, self.stopped.set)
        self.address = location(socket)
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def end(self) -> None:
        self.service.shutdown()
        self.loop.call_soon_threadsafe(self.loop.stop)

    def options(self, token: str = TOKEN) -> flight.FlightCallOptions:
        return flight.FlightCallOptions(headers=[(AUTHORIZATION.encode(), f"Bearer {token}".encode())], timeout=30)

    def ask(self, action: str, body: bytes = b"null", token: str = TOKEN) -> bytes:
        with flight.connect(self.address) as client:
            results = list(client.do_action(flight.Action(action, body), self.options(token)))
        return bytes(results[0].body.to_pybytes())

    def submit(
        self,
        token_ids: Any,
        max_in_flight: int = 1024,
        token: str = TOKEN,
        beside: Beside | None = None,
        sampling: Sampling | None = None,
        terms: Terms | None = None,
        query: str = "7",
    ) -> Submission:
        command = {"sampling": (sampling or Sampling()).to_json(), "max_in_flight": max_in_flight, "query": query}
        command |= {"terms": terms.to_json()} if terms else {}
        command |= {"ledger": beside.ledger.to_json()} if beside else {}
        client = flight.connect(self.address)
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command).encode())
        options = flight.FlightCallOptions(headers=[(AUTHORIZATION.encode(), f"Bearer {token}".encode())])
        return Submission(
            token_ids, lambda: client.do_exchange(descriptor, options), lambda e: EngineError(str(e)), beside
        )


@contextlib.contextmanager
def served(socket: Path) -> Iterator[Served]:
    one = Served(socket)
    try:
        yield one
    finally:
        one.end()
