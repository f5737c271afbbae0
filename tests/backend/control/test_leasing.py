"""Leasing, without a network: whatever is lost, late or cancelled, no budget is exceeded and nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkllm.backend.control.budget import Budget
from sparkllm.backend.control.messages import Account, Grant, Holding, Report, read_grants, write_grants
from sparkllm.backend.control.pool import Pool
from sparkllm.backend.control.queries import Queries
from sparkllm.backend.control.spending import Spending
from sparkllm.backend.engine import Answer

FATES = ("arrives", "lost", "answer lost", "late")
HOUR = 3600.0


@dataclass
class World:
    """The driver's queries, engines, and a network that the test decides about."""

    budget: Budget
    sizes: list[list[int]]  # of each engine's requests: the most tokens each may take
    seed: int
    computes: int | None = None  # tokens of each request; a number that the seed decides when left out
    now: float = 0.0
    sent: int = 0
    computed: int = 0
    late: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.driver = Queries()
        self.engines = [Spending(self.budget, lambda: None) for _ in self.sizes]
        self.asked: list[list[tuple[int, asyncio.Future[Answer]]]] = [[] for _ in self.sizes]
        self.tasks = [[asyncio.ensure_future(self.request(i, n)) for n in sizes] for i, sizes in enumerate(self.sizes)]
        self.number = 0

    async def request(self, engine: int, most: int) -> Answer:
        async def ask() -> Answer:
            self.sent += 1
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self.asked[engine].append((most, future))
            return await future

        return await self.engines[engine].answer(most, ask)

    async def exchange(self, engine: int, fate: str = "arrives") -> None:
        one = self.engines[engine]
        idle = all(task.done() for task in self.tasks[engine])
        holdings = one.holdings(self.random.random() < 0.5, idle)
        self.number += 1
        report = Report(str(engine), self.number, {"q": Account({}, 0.0, not idle, self.budget, holdings)})
        report = Report.from_json(report.to_json())
        if fate == "late":
            self.late.append(report)
        if fate in ("arrives", "answer lost"):
            grants = read_grants(write_grants(self.driver.take(report, self.now)))
            if fate == "arrives":
                one.take(grants["q"])
        await self.settled()

    async def finish(self, engine: int) -> None:
        """The engine answers a request with at most what it may take."""
        while self.asked[engine]:
            most, future = self.asked[engine].pop(self.random.randrange(len(self.asked[engine])))
            if not future.done():
                computed = self.random.randint(0, most) if self.computes is None else self.computes
                cached, output = self.random.randint(0, 3), self.random.randint(0, computed)
                self.computed += computed
                future.set_result(Answer("x", None, computed - output + cached, cached, output))
                break
        await self.settled()

    async def cancel(self, engine: int) -> None:
        left = [task for task in self.tasks[engine] if not task.done()]
        if left:
            self.random.choice(left).cancel()
        await self.settled()

    async def settled(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)
        if self.budget.calls:
            assert self.sent <= self.budget.calls
        if self.budget.tokens:
            assert self.computed <= self.budget.tokens

    async def play(self, steps: list[tuple[str, int, str]]) -> None:
        for what, engine, fate in steps:
            engine %= len(self.engines)
            if what == "exchange":
                await self.exchange(engine, fate)
            elif what == "deliver" and self.late:
                self.driver.take(self.late.pop(0), self.now)
            elif what in ("finish", "cancel"):
                await getattr(self, what)(engine)

    async def end(self) -> int:
        """Everything arrives from now on; the rounds it takes until no request is left."""
        for rounds in range(1000):
            if all(task.done() for tasks in self.tasks for task in tasks):
                return rounds
            for engine in range(len(self.engines)):
                await self.exchange(engine)
                await self.finish(engine)
        raise AssertionError([(engine.wanting, engine.ended) for engine in self.engines])

    def outcomes(self) -> list[Answer]:
        return [task.result() for tasks in self.tasks for task in tasks if not task.cancelled()]


REQUESTS = st.lists(st.lists(st.integers(1, 40), max_size=12), min_size=1, max_size=4)
STEP = st.tuples(
    st.sampled_from(["exchange", "exchange", "finish", "finish", "cancel", "deliver"]),
    st.integers(0, 3),
    st.sampled_from(FATES),
)
LIMIT = st.one_of(st.just(0), st.integers(1, 400))


@settings(max_examples=150, deadline=None)
@given(REQUESTS, st.lists(STEP, max_size=60), LIMIT, LIMIT, st.integers(0, 9))
def test_no_interleaving_exceeds_a_budget_or_waits_for_ever(
    sizes: list[list[int]], steps: list[tuple[str, int, str]], calls: int, tokens: int, seed: int
) -> None:
    async def run() -> None:
        world = World(Budget(calls // 10 + 1 if calls else 0, tokens), sizes, seed)
        await world.play(steps)
        await world.end()

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.integers(1, 40), st.integers(0, 9))
def test_all_calls_of_the_budget_are_used(sizes: list[list[int]], calls: int, seed: int) -> None:
    async def run() -> None:
        world = World(Budget(calls=calls), sizes, seed)
        await world.end()
        assert world.sent == min(calls, sum(map(len, sizes)))
        assert sum(answer.over_budget for answer in world.outcomes()) == sum(map(len, sizes)) - world.sent

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.integers(1, 400), st.integers(0, 9))
def test_of_the_tokens_less_than_one_request_may_take_is_left(sizes: list[list[int]], tokens: int, seed: int) -> None:
    async def run() -> None:
        world = World(Budget(tokens=tokens), sizes, seed)
        await world.end()
        if any(answer.over_budget for answer in world.outcomes()):
            assert tokens - world.computed < 40 + 40 * len(sizes)

    asyncio.run(run())


@pytest.mark.parametrize("sizes", [[[40] * 12], [[40] * 6, [40] * 6]])
def test_a_request_waits_for_what_others_under_way_may_not_need(sizes: list[list[int]]) -> None:
    """Two fit at a time, by the most that each may take; all fit by what they do take."""

    async def run() -> None:
        world = World(Budget(tokens=100), sizes, 0, computes=5)
        await world.end()
        assert (world.sent, world.computed) == (12, 60)

    asyncio.run(run())


def test_an_engine_cannot_raise_what_it_holds() -> None:
    pool = Pool(100)
    pool.settle("a", Holding())
    assert pool.grant("a", need=1, want=10, live={"a"}) == 10
    pool.settle("a", Holding(used=2, granted=50))
    assert (pool.free, pool.used) == (90, 2)


def test_a_lost_engine_keeps_nobody_waiting_and_what_it_held_is_spent() -> None:
    async def run() -> None:
        world = World(Budget(calls=10), [[1] * 4, [1] * 20], 0)
        await world.exchange(0)
        world.now += 11
        for _ in range(100):
            await world.exchange(1)
            await world.finish(1)
        assert all(task.done() for task in world.tasks[1])
        assert 6 <= world.sent <= 10
        for task in world.tasks[0]:
            task.cancel()

    asyncio.run(run())


def account(seconds: float, running: bool, budget: Budget) -> Account:
    return Account({"requests": 1}, seconds, running, budget)


def told(driver: Queries, engine: str, number: int, one: Account, now: float) -> Grant:
    return driver.take(Report(engine, number, {"q": one}), now)["q"]


def test_engines_share_what_is_left_of_the_cost() -> None:
    driver, budget = Queries(), Budget(cost=2.0, cost_per_hour=HOUR / 10)  # 0.1 a second: 20 engine seconds
    assert told(driver, "a", 1, account(0.0, True, budget), 0.0).seconds == pytest.approx(20)
    assert told(driver, "b", 1, account(0.0, True, budget), 8.0).seconds == pytest.approx(6)
    assert told(driver, "a", 2, account(8.0, True, budget), 8.0).seconds == pytest.approx(6)
    assert told(driver, "b", 2, account(2.0, False, budget), 10.0).seconds == pytest.approx(8)
    last = told(driver, "a", 3, account(18.0, True, budget), 18.0)
    assert (last.ended, last.stop) == ("spark.sparkllm.maxCost=2.0", True)
    use = driver.progress(18.0)[0].budget
    assert use is not None
    assert use.used["cost"] == pytest.approx(2.0)


def test_the_time_of_an_endpoint_is_no_engines() -> None:
    driver = Queries()
    told(driver, "own", 1, Account({"requests": 1}, 5.0), 10.0)
    passing = Report("passing", 1, {"q": Account({"requests": 1}, 60.0, endpoint=True)})
    driver.take(Report.from_json(passing.to_json()), 10.0)
    assert driver.progress(10.0)[0].engine_seconds == 5.0


def test_of_its_time_an_engine_leases_half_a_minute_and_that_is_charged_when_it_is_lost() -> None:
    driver, budget = Queries(), Budget(cost=100.0, cost_per_hour=HOUR)
    assert told(driver, "a", 1, account(0.0, True, budget), 0.0).seconds == 30
    told(driver, "b", 1, account(0.0, False, budget), 1000.0)
    use = driver.progress(1000.0)[0].budget
    assert use is not None
    assert use.used["cost"] == pytest.approx(30)


def test_time_ends_a_query_on_every_engine() -> None:
    driver, budget = Queries(), Budget(seconds=5)
    assert told(driver, "a", 1, account(0.0, True, budget), 100.0).seconds == pytest.approx(5)
    assert told(driver, "b", 1, account(0.0, True, budget), 103.0).seconds == pytest.approx(2)
    assert told(driver, "a", 2, account(5.0, True, budget), 105.0).ended == "spark.sparkllm.maxSeconds=5"
    assert told(driver, "b", 2, account(2.1, True, budget), 105.1).stop


def test_what_is_under_way_when_time_is_up_is_aborted_and_null() -> None:
    async def run() -> None:
        world = World(Budget(seconds=0.05), [[1, 1]], 0)
        await world.exchange(0)
        assert world.sent == 2
        await asyncio.sleep(0.7)  # the engine's own clock; nobody asks the driver any more
        assert [answer.over_budget for answer in world.outcomes()] == [True, True]

    asyncio.run(run())


def test_a_report_that_comes_after_a_later_one_changes_nothing() -> None:
    driver, budget = Queries(), Budget(calls=10)
    want = Account({}, 0.0, True, budget, {"calls": Holding(need=1, want=8)})
    assert told(driver, "a", 2, want, 0.0).extra["calls"] > 0
    assert driver.take(Report("a", 1, {"q": want}), 0.0) == {}


def test_progress_adds_up_what_engines_count() -> None:
    driver = Queries()
    for engine, requests in (("a", 3), ("b", 4)):
        driver.take(Report(engine, 1, {"7": Account({"requests": requests}, 0.0, engine == "b")}), 1.0)
    (one,) = driver.progress(3.0)
    assert (one.query, one.seconds, one.engines, one.running, one.counters) == ("7", 2.0, 2, 1, {"requests": 7})
