"""One query as the driver sees it: what its engines have told, what of its budget is left, whether that ended it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sparkllm.backend.control.budget import Budget
from sparkllm.backend.control.messages import Account, Grant
from sparkllm.backend.control.pool import Pool
from sparkllm.backend.control.timeline import Moment, merged

__all__ = ["BudgetUse", "Query", "QueryProgress"]

# An engine that has not reported for this long is taken for lost: nobody waits for what it holds.
_LOST_SECONDS = 10.0
# Of its time an engine leases no more at once: so much is charged for one that is lost.
_MOST_LEASED_SECONDS = 30.0
_HOUR = 3600.0


@dataclass(frozen=True)
class BudgetUse:
    """How much of a query's budget is used.

    Attributes:
        used: by limit (`calls`, `tokens`, `seconds`, `cost`), for those that are set.
        limits: the same names.
        ended: which limit ended the query; empty while none has.
    """

    used: dict[str, float]
    limits: dict[str, float]
    ended: str = ""


@dataclass(frozen=True)
class QueryProgress:
    """What the engines have told of a query, at most about a second ago.

    Attributes:
        query: Spark's id of the SQL execution; empty for what ran outside one.
        seconds: since the first engine told of it.
        engines: that have told of it.
        running: that have requests of it now.
        counters: sums over the engines: requests, finished, aborted, failed, prompt_tokens, cached_tokens,
            output_tokens, from_ledger.
        budget: None where the query has none.
        engine_seconds: time with requests of the query, sum over the engines; those before an endpoint do not count.
    """

    query: str
    seconds: float
    engines: int
    running: int
    counters: dict[str, int]
    budget: BudgetUse | None = None
    engine_seconds: float = 0.0


@dataclass
class _Engine:
    account: Account
    seen: float


@dataclass
class Query:
    """Not thread-safe. `now` is in seconds, on any clock that only goes forward."""

    id: str
    began: float
    budget: Budget | None = None
    ended: str = ""
    stop: bool = False
    _engines: dict[str, _Engine] = field(default_factory=dict)
    _pools: dict[str, Pool] = field(default_factory=dict)
    _budget_began: float = 0.0
    _ended_at: float = 0.0

    def report(self, engine: str, account: Account, now: float) -> Grant:
        """Take down what an engine tells, and answer what it may do."""
        self._engines[engine] = _Engine(account, now)
        if self.budget is None and account.budget is not None:
            self.budget, self._budget_began = account.budget, now
            self._pools = {name: Pool(limit) for name, limit in account.budget.counted.items()}
        if self.budget is None:
            return Grant()
        for name, pool in self._pools.items():
            if name in account.holdings:
                pool.settle(engine, account.holdings[name])
        extra = self._grant(engine, account, now)
        seconds = self._seconds_left(now)
        if seconds is not None and seconds <= 0 and not self.ended:
            late = self.budget.seconds and now - self._budget_began >= self.budget.seconds
            self._end("seconds" if late else "cost", now)
            self.stop = True
        return Grant(extra, seconds, self.ended, self.stop)

    def progress(self, now: float) -> QueryProgress:
        """What is known now."""
        counters: Counter[str] = Counter()
        for engine in self._engines.values():
            counters.update(engine.account.counters)
        running = sum(engine.account.open for engine in self._live(now).values())
        engines, busy = len(self._engines), self._busy(now, endpoints=False)
        return QueryProgress(self.id, now - self.began, engines, running, dict(counters), self._use(now), busy)

    def timeline(self) -> tuple[Moment, ...]:
        """How many requests its engines had, and how long their drafts were, from the first on."""
        return merged([(engine.seen, engine.account.series) for engine in self._engines.values()])

    def _grant(self, engine: str, account: Account, now: float) -> dict[str, int]:
        """All limits that the engine needs more of, or none: half a request cannot be asked."""
        needs = {name: account.holdings[name].need for name in self._pools if name in account.holdings}
        if self.ended or not any(needs.values()):
            return {}
        live = self._live(now)
        for name, need in needs.items():
            if self._pools[name].hopeless(need, live):
                self._end(name, now)
                return {}
        if any(self._pools[name].free < need for name, need in needs.items()):
            return {}
        wants = {name: account.holdings[name].want for name in needs}
        return {name: self._pools[name].grant(engine, need, wants[name], live) for name, need in needs.items()}

    def _live(self, now: float) -> dict[str, _Engine]:
        return {name: engine for name, engine in self._engines.items() if now - engine.seen < _LOST_SECONDS}

    def _seconds_left(self, now: float) -> float | None:
        """How long each engine may go on, if no other joins; None: no limit of time or cost."""
        assert self.budget is not None
        left = []
        if self.budget.seconds:
            left.append(self.budget.seconds - (now - self._budget_began))
        if self.budget.cost:
            running = sum(engine.account.open for engine in self._live(now).values())
            rate = self.budget.cost_per_hour / _HOUR * max(1, running)
            left.append(min(_MOST_LEASED_SECONDS, (self.budget.cost - self._cost(now)) / rate))
        return min(left, default=None)

    def _cost(self, now: float) -> float:
        """Price of the engines' time; of those that run, up to now."""
        assert self.budget is not None
        return self._busy(now) * self.budget.cost_per_hour / _HOUR

    def _busy(self, now: float, endpoints: bool = True) -> float:
        """Seconds in which engines had requests of it, together, those before an endpoint among them or not."""
        return sum(
            engine.account.seconds + engine.account.open * min(now - engine.seen, _MOST_LEASED_SECONDS)
            for engine in self._engines.values()
            if endpoints or not engine.account.endpoint
        )

    def _use(self, now: float) -> BudgetUse | None:
        if self.budget is None:
            return None
        limits: dict[str, float] = {name: pool.limit for name, pool in self._pools.items()}
        used: dict[str, float] = {name: pool.used for name, pool in self._pools.items()}
        if self.budget.seconds:
            limits["seconds"] = self.budget.seconds
            last = self._ended_at or max((engine.seen for engine in self._engines.values()), default=now)
            used["seconds"] = last - self._budget_began
        if self.budget.cost:
            limits["cost"], used["cost"] = self.budget.cost, self._cost(now)
        return BudgetUse(used, limits, self.ended)

    def _end(self, name: str, now: float) -> None:
        self._ended_at = now
        self.ended = f"{Budget.setting(name)}={getattr(self.budget, name):,}"
        if name == "tokens":
            self.ended += f", of which {self._pools[name].used:,} are spent and the next may take too many"
