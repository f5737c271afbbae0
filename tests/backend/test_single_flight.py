"""Equal requests under way are one; who leaves early takes no other's answer away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sparkllm.backend.engine import Answer
from sparkllm.backend.single_flight import SingleFlight
from sparkllm.errors import EngineDiedError

FLIGHT = b"key"


class Asked:
    """What an engine is asked: it answers when it is told to."""

    def __init__(self) -> None:
        self.times = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> Answer:
        self.times += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return Answer("yes", None, 7, 1, 2)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 5))


async def begun(flights: SingleFlight, asked: Asked, n: int, key: bytes = FLIGHT) -> list[asyncio.Task[Answer]]:
    tasks = [asyncio.create_task(flights.answer(key, asked)) for _ in range(n)]
    await asyncio.sleep(0.01)
    return tasks


def test_equal_requests_are_asked_once_and_only_the_first_has_tokens() -> None:
    async def test() -> None:
        flights, asked = SingleFlight(), Asked()
        tasks = await begun(flights, asked, 3)
        asked.go.set()
        first, *others = await asyncio.gather(*tasks)
        assert asked.times == 1
        assert (first, set(others)) == (Answer("yes", None, 7, 1, 2), {Answer("yes", kept=True)})

    run(test())


def test_different_requests_are_asked_each() -> None:
    async def test() -> None:
        flights, asked = SingleFlight(), Asked()
        tasks = [*await begun(flights, asked, 1), *await begun(flights, asked, 1, b"other")]
        asked.go.set()
        await asyncio.gather(*tasks)
        assert asked.times == 2

    run(test())


def test_when_the_first_is_cancelled_another_asks_and_all_others_are_answered() -> None:
    async def test() -> None:
        flights, asked = SingleFlight(), Asked()
        first, *others = await begun(flights, asked, 3)
        first.cancel()
        await asyncio.sleep(0.01)
        assert asked.times == 2
        asked.go.set()
        answers = await asyncio.gather(*others)
        assert [answer.kept for answer in answers] == [False, True]
        assert first.cancelled()

    run(test())


def test_one_that_waits_may_leave() -> None:
    async def test() -> None:
        flights, asked = SingleFlight(), Asked()
        first, second, third = await begun(flights, asked, 3)
        second.cancel()
        asked.go.set()
        assert (await first).text == (await third).text == "yes"
        assert asked.times == 1

    run(test())


def test_the_end_of_the_engine_reaches_all() -> None:
    async def test() -> None:
        flights, asked = SingleFlight(), Asked()
        tasks = await begun(flights, asked, 3)
        asked.error = EngineDiedError("gone")
        asked.go.set()
        for task in tasks:
            with pytest.raises(EngineDiedError):
                await task

    run(test())


def test_what_is_answered_is_asked_again_later() -> None:
    """To remember is the ledger's business."""

    async def test() -> None:
        flights, asked = SingleFlight(), Asked()
        asked.go.set()
        for _ in range(2):
            assert not (await flights.answer(FLIGHT, asked)).kept
        assert asked.times == 2
        assert not flights._under_way

    run(test())
