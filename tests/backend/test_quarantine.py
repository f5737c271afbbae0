"""Which requests kill an engine: engines that die one after the other, without an engine."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from sparkllm.backend.in_flight import InFlight, left_in
from sparkllm.backend.quarantine import Quarantine, digest_of, forget_in_flight

ALL = [digest_of("7", "{}", [i]) for i in range(1000)]


class DiedError(Exception):
    pass


class Launch:
    """One engine: dies when it is given a poison, else answers `a step` later."""

    def __init__(self, folder: Path, poison: set[bytes]) -> None:
        self.dead = False
        self.quarantine = Quarantine(folder, lambda: self.dead)
        self.poison = poison
        self.answered: set[bytes] = set()
        self.inside: set[bytes] = set()
        self.most = 0

    async def ask(self, digest: bytes) -> None:
        if self.quarantine.holds(digest):
            return
        async with self.quarantine.admitted(digest):
            self.most = max(self.most, self.quarantine.under_way)
            self.inside.add(digest)
            await asyncio.sleep(random.random() / 1000)
            if self.dead or digest in self.poison:
                self.dead = True
                raise DiedError
        self.inside.discard(digest)
        self.answered.add(digest)

    async def run(self, wanted: list[bytes]) -> None:
        tasks = [asyncio.ensure_future(self.ask(digest)) for digest in wanted]
        with contextlib.suppress(DiedError):
            await asyncio.gather(*tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def until_all_answered(folder: Path, wanted: list[bytes], poison: set[bytes]) -> tuple[list[Launch], set[bytes]]:
    """Ask for what is unanswered, again and again; the launches, and what was answered."""
    launches: list[Launch] = []
    answered: set[bytes] = set()
    while not launches or launches[-1].dead:
        launches.append(Launch(folder, poison))
        asyncio.run(launches[-1].run([digest for digest in wanted if digest not in answered]))
        answered |= launches[-1].answered
        assert len(launches) < 50
    return launches, answered


@pytest.mark.parametrize("number", [1, 3])
def test_requests_that_kill_the_engine_are_found_and_all_others_answered(tmp_path: Path, number: int) -> None:
    poison = set(random.Random(3).sample(ALL, number))
    launches, answered = until_all_answered(tmp_path, ALL, poison)
    print(f"{number} among {len(ALL)}: {len(launches) - 1} restarts")
    assert answered == set(ALL) - poison
    assert all(launches[-1].quarantine.holds(digest) for digest in poison)
    assert launches[-1].quarantine.quarantined == number
    assert len(launches) - 1 <= 2 + 3 * number


def test_a_search_is_told_from_deaths_of_another_cause(tmp_path: Path) -> None:
    launches, _ = until_all_answered(tmp_path, ALL[:300], {ALL[42]})
    assert [launch.quarantine.searching for launch in launches[:3]] == [False, False, False]
    assert all(launch.quarantine.searching for launch in launches[3:])


def test_one_death_makes_no_suspects(tmp_path: Path) -> None:
    one = Launch(tmp_path, {ALL[5]})
    asyncio.run(one.run(ALL[:100]))
    assert one.dead
    other = Launch(tmp_path, set())
    assert other.quarantine.died
    asyncio.run(other.run(ALL[:100]))
    assert other.answered == set(ALL[:100])
    assert other.most == 100, "all at once, as ever"


def test_a_lone_request_is_quarantined_only_when_it_dies_again(tmp_path: Path) -> None:
    launches, answered = until_all_answered(tmp_path, ALL[:1], {ALL[0]})
    assert len(launches) == 3
    assert answered == set()


def test_while_suspects_are_asked_nothing_else_is(tmp_path: Path) -> None:
    for _ in range(2):
        dying = Launch(tmp_path, {ALL[0]})
        asyncio.run(dying.run(ALL[:160]))
    launch = Launch(tmp_path, set())
    suspects = {digest for digest, deaths in launch.quarantine._deaths.items() if deaths == 2}
    assert ALL[0] in suspects
    groups: list[set[bytes]] = []

    async def watch() -> None:
        while suspects - launch.answered:
            groups.append(set(launch.inside))
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(watch(), launch.run(ALL))

    asyncio.run(both())
    assert launch.answered == set(ALL)
    assert all(group <= suspects for group in groups), "something else was asked beside them"
    assert max(map(len, groups)) <= -(-len(suspects) // 16)


def test_an_orderly_end_accuses_nobody(tmp_path: Path) -> None:
    InFlight(tmp_path / "in_flight").add(ALL[0])
    forget_in_flight(tmp_path)
    assert not Quarantine(tmp_path).died


def test_another_query_asks_a_quarantined_row_again() -> None:
    assert digest_of("7", "{}", [1, 2]) == digest_of("7", "{}", [1, 2])
    assert digest_of("7", "{}", [1, 2]) != digest_of("8", "{}", [1, 2])
    assert digest_of("7", "{}", [1, 2]) != digest_of("7", '{"a": 1}', [1, 2])


def test_what_is_under_way_is_read_after_the_process_is_gone(tmp_path: Path) -> None:
    requests = InFlight(tmp_path / "f", slots=3)
    places = [requests.add(digest) for digest in ALL[:5]]
    assert places.count(-1) == 2, "more than there are places for are not recorded"
    requests.remove(places[1])
    assert set(left_in(tmp_path / "f")) == {ALL[0], ALL[2]}
    assert left_in(tmp_path / "none") == []


def test_a_cancelled_request_is_no_longer_under_way(tmp_path: Path) -> None:
    async def run() -> None:
        launch = Launch(tmp_path, set())
        task = asyncio.ensure_future(launch.ask(ALL[0]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert launch.quarantine.under_way == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert launch.quarantine.under_way == 0

    asyncio.run(run())
    assert left_in(tmp_path / "in_flight") == []
