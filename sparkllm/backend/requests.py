"""The requests inside the engine: one asyncio task each, on the one loop that owns the engine."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator

from sparkllm.backend.engine import Answer, Engine, Sampling
from sparkllm.backend.query_speculation import QuerySpeculation
from sparkllm.errors import EngineDiedError

__all__ = ["COUNTERS", "Requests", "Stream"]

COUNTERS = ("requests", "finished", "aborted", "failed", "prompt_tokens", "cached_tokens", "output_tokens")
# Answers of one engine step arrive together; waiting this long puts them into one message.
_COALESCE_SECONDS = 0.003
# Queries whose own counts are kept.
_QUERIES = 1000


class Requests:
    """All requests of all streams, and the engine's totals."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.loop = loop
        self.totals = _zeros()
        self._by_query: OrderedDict[str, Counter[str]] = OrderedDict()
        self._speculation = QuerySpeculation(engine.speculation, _QUERIES)
        self._names = itertools.count()
        self._lock = threading.Lock()
        self._streams = 0
        self._last_use = time.monotonic()

    @contextlib.contextmanager
    def stream(self, sampling: Sampling, query: str) -> Iterator[Stream]:
        """One client's stream on behalf of `query`; what is unfinished when it is left is aborted."""
        self._count_streams(1)
        stream = Stream(self, f"stream-{next(self._names)}", sampling, self._counts(query))
        try:
            with self._speculation.of(query):
                yield stream
        finally:
            stream.abort()
            self._count_streams(-1)

    def counters(self, query: str | None) -> Counter[str]:
        """The totals of one query, or of all, what speculation did among them; an unknown one has zeros."""
        counts = self.totals if query is None else self._by_query.get(query, _zeros())
        return Counter({**counts, **self._speculation.sums(query)})

    def _counts(self, query: str) -> Counter[str]:
        with self._lock:
            counts = self._by_query.setdefault(query, _zeros())
            self._by_query.move_to_end(query)
            if len(self._by_query) > _QUERIES:
                self._by_query.popitem(last=False)
            return counts

    def touch(self) -> None:
        """Somebody uses the engine."""
        self._last_use = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since when nobody has used the engine; 0 while a stream is open."""
        return 0.0 if self._streams else time.monotonic() - self._last_use

    def _count_streams(self, change: int) -> None:
        with self._lock:
            self._streams += change
            self.touch()


class Stream:
    """The requests of one client. Its public methods belong to the client's thread, the others to the loop."""

    def __init__(self, requests: Requests, name: str, sampling: Sampling, counts: Counter[str]) -> None:
        self.in_flight = 0
        self._counts = counts
        self._requests = requests
        self._name = name
        self._sampling = sampling
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: queue.SimpleQueue[tuple[int, Answer] | EngineDiedError] = queue.SimpleQueue()

    def start(self, rows: list[tuple[int, list[int]]]) -> None:
        """Hand (id, token ids) rows to the engine."""
        self.in_flight += len(rows)
        self._requests.loop.call_soon_threadsafe(self._start, rows)

    def collect(self, timeout: float) -> list[tuple[int, Answer]]:
        """The answers that are there, after waiting at most `timeout` seconds for the first.

        Raises:
            EngineDiedError: the engine is gone.
        """
        try:
            outcomes = [self._outcomes.get(timeout=timeout)]
        except queue.Empty:
            return []
        time.sleep(_COALESCE_SECONDS)
        with contextlib.suppress(queue.Empty):
            while True:
                outcomes.append(self._outcomes.get_nowait())
        answers = []
        for outcome in outcomes:
            if isinstance(outcome, EngineDiedError):
                raise outcome
            answers.append(outcome)
        self.in_flight -= len(answers)
        return answers

    def abort(self) -> None:
        """Abort what is unfinished."""
        self._requests.loop.call_soon_threadsafe(self._abort)

    def _start(self, rows: list[tuple[int, list[int]]]) -> None:
        self._count(requests=len(rows))
        for number, token_ids in rows:
            task = self._requests.loop.create_task(self._answer(number, token_ids))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def _answer(self, number: int, token_ids: list[int]) -> None:
        try:
            answer = await self._requests.engine.answer(f"{self._name}-{number}", token_ids, self._sampling)
        except EngineDiedError as error:
            self._count(failed=1)
            self._outcomes.put(error)
            return
        self._count(
            finished=int(answer.error is None),
            failed=int(answer.error is not None),
            prompt_tokens=answer.prompt_tokens,
            cached_tokens=answer.cached_tokens,
            output_tokens=answer.output_tokens,
        )
        self._outcomes.put((number, answer))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self._count(aborted=1)
        elif error := task.exception():
            # A mistake of ours, not of the row: without this the client would wait for ever.
            self._outcomes.put(EngineDiedError(f"{type(error).__name__}: {error}"))

    def _count(self, **more: int) -> None:
        for totals in (self._requests.totals, self._counts):
            totals.update(more)

    def _abort(self) -> None:
        for task in list(self._tasks):
            task.cancel()


def _zeros() -> Counter[str]:
    return Counter(dict.fromkeys(COUNTERS, 0))
