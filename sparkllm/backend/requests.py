"""What all streams of requests share: the engine, its totals by query, its ledgers, whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator

from sparkllm.backend.control.budget import Terms
from sparkllm.backend.control.reporter import Reporter
from sparkllm.backend.control.timeline import Load
from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.backend.engine import Engine, Sampling
from sparkllm.backend.ledger.ledger import Ledger, Ledgers
from sparkllm.backend.quarantine import Quarantine
from sparkllm.backend.query_speculation import QuerySpeculation
from sparkllm.backend.single_flight import SingleFlight
from sparkllm.backend.stream import Stream
from sparkllm.backend.turns import Turns

__all__ = ["COUNTERS", "Requests"]

COUNTERS = (
    "requests", "finished", "aborted", "failed", "prompt_tokens", "cached_tokens", "output_tokens", "from_ledger",
    "resent", "quarantined",
)  # fmt: skip
# Requests inside the engine, in its largest steps: one that it computes, and one from which it fills up the next.
_STEPS = 2
_MOST = 1024  # where the engine does not say how large its steps are
# Queries whose own counts are kept.
_QUERIES = 1000


class Requests:
    """All requests of all streams, and the engine's totals."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        quarantine: Quarantine | None = None,
        note: Callable[[str, str], None] = lambda event, query: None,
    ) -> None:
        self.engine = engine
        self.loop = loop
        self.quarantine = quarantine or Quarantine()
        self.note = note
        self.totals = _zeros()
        self.ledgers = Ledgers(engine.info.fingerprint)
        self.flights = SingleFlight()
        self.turns = Turns(_STEPS * engine.info.max_num_seqs or _MOST)
        self._by_query: OrderedDict[str, Counter[str]] = OrderedDict()
        self._speculation = QuerySpeculation(engine.speculation, _QUERIES)
        self._reporter: Reporter | None = None
        self._names = itertools.count()
        self._lock = threading.Lock()
        self._streams = Counter[str]()  # open ones, by query
        self._last_use = time.monotonic()

    @contextlib.contextmanager
    def stream(
        self, sampling: Sampling, query: str, ledger: Ledger | None = None, terms: Terms | None = None
    ) -> Iterator[Stream]:
        """One client's stream on behalf of `query`; what is unfinished when it is left is aborted.

        With a ledger, answers are kept there, and what it knows or what is under way is not asked again. With terms,
        the driver is told what is counted, and asked for what the query's budget has left.
        """
        self._count_streams(query, 1)
        stream = Stream(self, f"stream-{next(self._names)}", sampling, query, ledger, terms)
        try:
            with self._speculation.of(query):
                yield stream
        finally:
            stream.abort()
            self._count_streams(query, -1)

    def counters(self, query: str | None) -> Counter[str]:
        """The totals of one query, or of all, what speculation did among them; an unknown one has zeros."""
        counts = self.totals if query is None else self._by_query.get(query, _zeros())
        return Counter({**counts, **self._speculation.sums(query)})

    def count_recalled(self, query: str, prompts: int) -> None:
        """`query` was told so many answers of the ledger."""
        for totals in (self.totals, self.counts(query)):
            # Counts belong to the loop: from here, one of two changes at a time could be lost.
            self.loop.call_soon_threadsafe(totals.update, {"from_ledger": prompts})

    def counts(self, query: str) -> Counter[str]:
        """Those of one query, to be added to on the loop."""
        with self._lock:
            counts = self._by_query.setdefault(query, _zeros())
            self._by_query.move_to_end(query)
            if len(self._by_query) > _QUERIES:
                # One that still runs keeps its counts: its budget and its place at the driver go with them.
                ended = next((name for name in self._by_query if not self._streams[name]), query)
                if ended != query:
                    del self._by_query[ended]
            return counts

    def reporter(self, terms: Terms) -> Reporter:
        """Who tells the driver of all queries; from the first that has terms on."""
        with self._lock:
            if self._reporter is None:
                endpoint = is_endpoint(self.engine.info.model)
                self._reporter = Reporter(terms.address, self.loop, self._all_counts, self._load, endpoint)
            return self._reporter

    def _all_counts(self) -> dict[str, Counter[str]]:
        with self._lock:
            return dict(self._by_query)

    def _load(self) -> Load:
        ended = sum(self.totals[name] for name in ("finished", "failed", "aborted"))
        inside, sums = self.totals["requests"] - ended, self.engine.speculation()
        drafts = (sums.get(name, 0) for name in ("steps", "decodes", "drafted"))
        return Load(min(inside, self.engine.info.max_num_seqs or inside), *drafts)

    def touch(self) -> None:
        """Somebody uses the engine."""
        self._last_use = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since when nobody has used the engine; 0 while a stream is open."""
        return 0.0 if self._streams else time.monotonic() - self._last_use

    def _count_streams(self, query: str, change: int) -> None:
        with self._lock:
            self._streams[query] += change
            if not self._streams[query]:
                del self._streams[query]
            self.touch()
            idle = not self._streams
        if idle:  # its executor may end the engine now
            self.ledgers.flush()


def _zeros() -> Counter[str]:
    return Counter(dict.fromkeys(COUNTERS, 0))
