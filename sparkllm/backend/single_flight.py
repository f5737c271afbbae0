"""Single flight: of equal requests that are under way at the same time, one is asked and all get its answer.

Spark's speculative tasks and tasks that hold equal rows ask the same at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sparkllm.backend.engine import Answer

__all__ = ["SingleFlight"]


class SingleFlight:
    """The requests under way, by key; belongs to one event loop."""

    def __init__(self) -> None:
        self._under_way: dict[bytes, asyncio.Future[Answer]] = {}

    async def answer(self, key: bytes, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `ask` answers, or what the request under way for `key` is answered, as `kept` and with no tokens.

        When the one that asked is cancelled, or its query's budget is used up, the next that waits asks; what `ask`
        raises reaches all.
        """
        while (first := self._under_way.get(key)) is not None:
            # Not the future itself: whether this one or the first was cancelled would be the same exception.
            await asyncio.wait([first])
            if not first.cancelled() and (first.exception() or not first.result().over_budget):
                return replace(first.result(), prompt_tokens=0, cached_tokens=0, output_tokens=0, kept=True, asked=0)
        return await self._first(key, ask)

    async def _first(self, key: bytes, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        mine = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await ask()
            mine.set_result(answer)
            return answer
        except Exception as error:
            mine.set_exception(error)
            mine.exception()  # asyncio would complain of one that nobody waits for
            raise
        finally:
            mine.cancel()  # nothing where it is done
            del self._under_way[key]
