"""Which request enters the engine next: queries that share it get equal parts of it, however many requests each has.

Deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) over the queries that wait: in each round a query may send
one quantum of prompt tokens more. Within a query, first come, first served, so that prompts that share a prefix stay
beside each other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

__all__ = ["QUANTUM", "Turns"]

# A few dozen short prompts: fewer, and two queries would tear each other's runs of common prefixes apart.
QUANTUM = 4096


class _Queue:
    """One query's requests: (its turn, tokens)."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self.credit = 0

    def drop_cancelled(self) -> None:
        while self.waiting and self.waiting[0][0].done():
            self.waiting.popleft()


class Turns:
    """Belongs to the event loop of the engine."""

    def __init__(self, most: int) -> None:
        """`most`: requests inside the engine at a time, all queries together."""
        self._most, self._inside = most, 0
        self._queues: OrderedDict[str, _Queue] = OrderedDict()  # of the queries that wait, the next one first

    @contextlib.asynccontextmanager
    async def turn(self, query: str, tokens: int) -> AsyncIterator[None]:
        """Wait until a prompt of so many tokens may enter the engine; it has left when the block is left."""
        await self._enter(query, tokens)
        try:
            yield
        finally:
            self._inside -= 1
            self._admit()

    async def _enter(self, query: str, tokens: int) -> None:
        if self._inside < self._most and not self._queues:
            self._inside += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(query, _Queue()).waiting.append((turn, tokens))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was let in at the same moment
                self._inside -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._inside < self._most and (turn := self._next()) is not None:
            self._inside += 1
            turn.set_result(None)

    def _next(self) -> asyncio.Future[None] | None:
        while self._queues:
            query, queue = next(iter(self._queues.items()))
            queue.drop_cancelled()
            if not queue.waiting:
                del self._queues[query]  # and its credit: who does not wait saves nothing up
            elif queue.credit >= queue.waiting[0][1]:
                turn, tokens = queue.waiting.popleft()
                queue.credit -= tokens
                return turn
            else:
                queue.credit += QUANTUM
                self._queues.move_to_end(query)
        return None
