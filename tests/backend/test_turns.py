"""Turns of several queries at one engine, by themselves."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from sparkllm.backend.turns import QUANTUM, Turns

SHORT = QUANTUM // 32


async def ask(turns: Turns, query: str, tokens: int, entered: list[str]) -> None:
    async with turns.turn(query, tokens):
        entered.append(query)
        await asyncio.sleep(0)


def test_no_more_are_inside_than_may_be() -> None:
    async def run() -> int:
        turns, inside, most = Turns(3), Counter[str](), 0

        async def one() -> None:
            nonlocal most
            async with turns.turn("q", 10):
                inside["now"] += 1
                most = max(most, inside["now"])
                await asyncio.sleep(0)
                inside["now"] -= 1

        await asyncio.gather(*(one() for _ in range(50)))
        return most

    assert asyncio.run(run()) == 3


def test_a_small_query_is_not_behind_all_of_a_large_one() -> None:
    async def run() -> list[str]:
        turns, entered = Turns(8), list[str]()
        large = [asyncio.create_task(ask(turns, "large", SHORT, entered)) for _ in range(2000)]
        await asyncio.sleep(0)
        small = [asyncio.create_task(ask(turns, "small", SHORT, entered)) for _ in range(100)]
        await asyncio.gather(*large, *small)
        return entered

    entered = asyncio.run(run())
    last = len(entered) - 1 - entered[::-1].index("small")
    assert last < 8 + 2 * 100 + 2 * QUANTUM // SHORT
    assert len(entered) == 2100


def test_shares_are_equal_in_tokens_not_in_requests() -> None:
    async def run() -> list[str]:
        turns, entered = Turns(1), list[str]()
        long = [asyncio.create_task(ask(turns, "long", 8 * SHORT, entered)) for _ in range(200)]
        short = [asyncio.create_task(ask(turns, "short", SHORT, entered)) for _ in range(1600)]
        await asyncio.gather(*long, *short)
        return entered

    half = Counter(asyncio.run(run())[:900])
    assert 7 < half["short"] / half["long"] < 9


def test_of_one_query_the_first_comes_first() -> None:
    async def run() -> list[int]:
        turns, entered = Turns(1), list[int]()

        async def one(number: int) -> None:
            async with turns.turn("q", 3 * QUANTUM):
                entered.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(one(i) for i in range(40)))
        return entered

    assert asyncio.run(run()) == list(range(40))


def test_a_cancelled_request_gives_its_turn_to_the_next() -> None:
    async def run() -> list[str]:
        turns, entered = Turns(2), list[str]()
        tasks = [asyncio.create_task(ask(turns, f"q{i % 3}", SHORT, entered)) for i in range(300)]
        await asyncio.sleep(0)
        dropped = [task for i, task in enumerate(tasks) if i % 3 == 1]
        for task in dropped:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*dropped)
        await asyncio.gather(*(task for task in tasks if task not in dropped))
        await asyncio.wait_for(ask(turns, "late", SHORT, entered), 1)
        return entered

    entered = Counter(asyncio.run(run()))
    assert entered["q0"] == entered["q2"] == 100
    assert entered["q1"] <= 2, "those that were inside already"
    assert entered["late"] == 1


def test_one_cancelled_at_the_moment_it_is_let_in_leaves_no_gap() -> None:
    async def run() -> None:
        turns, entered = Turns(1), list[str]()
        async with turns.turn("a", 1):
            second = asyncio.create_task(ask(turns, "b", 1, entered))
            await asyncio.sleep(0)  # it waits now; the end of this block lets it in, and it has not run yet
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        await asyncio.wait_for(ask(turns, "c", 1, entered), 1)
        assert entered == ["c"]

    asyncio.run(run())
