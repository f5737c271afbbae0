"""The engine as one Spark task uses it: where it dies it is started again, and what is unanswered is sent again.

Two numbers bound that. A task bears `engine_restarts` deaths; those that a search for a row that kills the engine has
cost (see quarantine.py) are not counted, and once such a row is found the count begins anew. And no more than
`_MOST_KILLERS` such rows are looked for: with more, it is not the rows.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa

from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.client import EngineClient
from sparkllm.backend.control.budget import Terms
from sparkllm.backend.engine import EngineInfo, Sampling
from sparkllm.backend.ledger.exchange import Beside
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.backend.submission import Submission
from sparkllm.errors import EngineDiedError

__all__ = ["TaskEngine"]

_MOST_KILLERS = 16

T = TypeVar("T")


class TaskEngine:
    """An `EngineClient` that outlives engines; its methods may be called from any thread.

    Args:
        connect: gives the engine that runs, or starts one.
        restarts: so many deaths are borne.
        query: on whose behalf; for the log.
    """

    def __init__(self, connect: Callable[[], EngineClient], restarts: int, query: str = "") -> None:
        self._connect, self._restarts, self._query = connect, restarts, query
        self._client = connect()
        self._lock = threading.Lock()
        self._held: contextlib.ExitStack | None = None
        self._terms: Terms | None = None  # those of what is held
        self._agreed: dict[str, str] = {}
        self._deaths = 0
        self._quarantined = 0
        self._quarantined_before = self._quarantined = self._ask(lambda client: client.faults())[0]

    @property
    def info(self) -> EngineInfo:
        """See `EngineClient`, here and below."""
        return self._ask(lambda client: client.info)

    def take_started_seconds(self) -> float:
        return self._client.take_started_seconds()

    def frame(self, chat: Chat) -> Frame:
        return self._ask(lambda client: client.frame(chat))

    def agree(self, key: str, proposal: str) -> str:
        self._agreed[key] = agreed = self._ask(lambda client: client.agree(key, proposal))
        return agreed

    def recall(self, ledger: LedgerSettings, keys: Sequence[bytes], query: str = "") -> dict[int, str]:
        return self._ask(lambda client: client.recall(ledger, keys, query))

    def submit(
        self,
        token_ids: pa.ListArray,
        sampling: Sampling,
        query: str = "",
        beside: Beside | None = None,
        terms: Terms | None = None,
    ) -> Submission:
        """See `EngineClient.submit`; answers that came before a death are not asked for again."""
        return self._client.submit(token_ids, sampling, query, beside, terms, self._restart)

    @contextlib.contextmanager
    def hold(self, terms: Terms | None = None) -> Iterator[None]:
        """Keep the engine, and each that follows it, from counting as idle meanwhile."""
        held = contextlib.ExitStack()
        with self._lock:
            held.enter_context(self._client.hold(terms))
            self._held, self._terms = held, terms
        try:
            yield
        finally:
            with self._lock:
                self._held = None
                held.close()

    def _ask(self, question: Callable[[EngineClient], T]) -> T:
        while True:
            client = self._client
            try:
                return question(client)
            except EngineDiedError as error:
                self._restart(client, error)

    def _restart(self, dead: EngineClient, error: EngineDiedError) -> EngineClient:
        """Have another engine than `dead`, unless another thread of the task has seen to it."""
        with self._lock:
            while self._client is dead:
                self._deaths += 1
                self._start_again(dead, error)
            return self._client

    def _start_again(self, dead: EngineClient, error: EngineDiedError) -> None:
        if self._deaths > self._restarts + 1:
            raise self._too_often(dead, error)
        client = self._connect()
        try:
            quarantined, searching = client.faults()
            for key, agreed in self._agreed.items():
                client.agree(key, agreed)
        except EngineDiedError:  # this one, too, already
            return
        self._count(quarantined, searching)
        if self._deaths > self._restarts or quarantined - self._quarantined_before > _MOST_KILLERS:
            raise self._too_often(dead, error)
        self._say(client, error, searching)
        if self._held is not None:
            self._held.close()
            self._held.enter_context(client.hold(self._terms))
        self._client = client

    def _count(self, quarantined: int, searching: bool) -> None:
        if quarantined > self._quarantined:
            self._quarantined, self._deaths = quarantined, 0
        elif searching:
            self._deaths -= 1

    def _say(self, client: EngineClient, error: EngineDiedError, searching: bool) -> None:
        which = "in the search for a row that kills it" if searching else f"{self._deaths} of {self._restarts}"
        client.note(f"restart {which}, because {error.reason}", self._query)
        print(f"sparkllm: the engine was started again ({which}): {error.reason}", file=sys.stderr)

    def _too_often(self, dead: EngineClient, error: EngineDiedError) -> EngineDiedError:
        killers = self._quarantined - self._quarantined_before
        found = f"{killers} rows killed it" if killers > _MOST_KILLERS else f"it died {self._deaths} times"
        text = (
            f"expected the engine to answer, {found} while this task ran (spark.sparkllm.engineRestarts="
            f"{self._restarts}), at last: {error.reason}. "
            f"To do: read the logs in {dead.log.parent}, then run the query again; what was answered is kept"
        )
        dead.note(f"given up: {text}", self._query)
        return EngineDiedError(text)
