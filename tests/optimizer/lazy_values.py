"""Values that are worked out when somebody reads them, and what SQL's expressions make of them: half of the oracle."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.optimizer import query_tree as sql

__all__ = ["ANSWERS", "COMPARE", "Env", "Group", "Later", "Row", "Values", "answer"]

ANSWERS = ("good", "bad", "ok")


def answer(prompt: str, fields: Sequence[object]) -> str | None:
    """What the model says: the same for equal prompts, NULL where all fields are."""
    if fields and all(f is None for f in fields):
        return None
    return ANSWERS[zlib.crc32("|".join([prompt, *map(str, fields)]).encode()) % len(ANSWERS)]


class Later:
    """A value that is worked out once, when it is first read.

    Attributes:
        asks: reading it may ask the model.
        name: where it comes from: equal for two values only if they are the same one.
    """

    def __init__(self, work: Callable[[], Any], asks: bool, name: Hashable = None) -> None:
        self.work, self.asks, self.name = work, asks, name
        self.read: list[Any] = []

    def get(self) -> Any:
        if not self.read:
            self.read.append(self.work())
        return self.read[0]

    @classmethod
    def now(cls, value: Any, name: Hashable) -> Later:
        return cls(lambda: value, asks=False, name=name)


@dataclass(frozen=True)
class Row:
    """A row of a table or subquery, which is there if all of its conditions hold."""

    uid: Hashable
    columns: dict[str, Later]
    conditions: tuple[Later, ...] = ()


@dataclass(frozen=True)
class Group:
    members: Later
    candidates: list[Env]


@dataclass(frozen=True)
class Env:
    """What the expressions of one SELECT or ON see of one row; `uid` is None in ON, where no row is made yet."""

    rows: Mapping[str, Row]
    outer: frozenset[str]
    uid: Hashable
    place: Hashable
    conditions: tuple[Later, ...] = ()
    known: dict[sql.Expr, Later] = field(default_factory=dict)
    group: Group | None = None


class Values(ABC):
    """The values of expressions, and which calls were asked for them.

    `backward`: of two conditions that ask, the one written last comes first.
    """

    def __init__(self, backward: bool) -> None:
        self.backward = backward
        self.prepared: set[sql.Expr] = set()  # subqueries that have run
        self.asked: dict[Hashable, dict[Hashable, set[Hashable]]] = defaultdict(lambda: defaultdict(set))

    @abstractmethod
    def query(self, query: sql.Query, outer: Env | None = None) -> list[Row]:
        """The rows of a query, which may not all be there."""

    @abstractmethod
    def prepare(self, e: sql.Expr | None) -> None:
        """Make the subqueries of an expression."""

    def total(self) -> int:
        return sum(min(map(len, places.values())) for places in self.asked.values())

    def settle(self, row: Row | Env) -> bool:
        """The row is there."""
        return all(c.get() for c in self.ordered(row.conditions))

    def ordered(self, values: Sequence[Any]) -> Sequence[Any]:
        return values[::-1] if self.backward else values

    def later(self, e: sql.Expr, env: Env) -> Later:
        return Later(lambda: self.value(e, env), self.asks(e, env), self.name(e, env))

    def value(self, e: sql.Expr, env: Env) -> Any:
        if env.known and e in env.known:
            return env.known[e].get()
        return getattr(self, f"_{type(e).__name__.lower()}")(e, env)

    def asks(self, e: sql.Expr, env: Env) -> bool:
        """Its value may depend on an answer."""
        if env.known and e in env.known:
            return env.known[e].asks
        if isinstance(e, sql.Col):
            return env.rows[e.table].columns[e.name].asks
        if isinstance(e, sql.Agg):
            assert env.group
            inside = (self.asks(e.value, c) for c in env.group.candidates if e.value is not None)
            return env.group.members.asks or any(inside)
        if isinstance(e, sql.InQuery | sql.Exists | sql.Scalar):
            if e in self.prepared and not self.asks_of_outer(e.query):
                return isinstance(e, sql.InQuery) and self.asks(e.value, env)
            rows = self.query(e.query, env)
            read = [] if isinstance(e, sql.Exists) else [c for r in rows for c in r.columns.values()]
            left = isinstance(e, sql.InQuery) and self.asks(e.value, env)
            return left or any(r.conditions for r in rows) or any(c.asks for c in read)
        if isinstance(e, sql.Case) and e.then == e.other:
            return self.asks(e.then, env)
        return isinstance(e, sql.Call) or any(self.asks(c, env) for c in sql.children(e) if isinstance(c, sql.Expr))

    def asks_of_outer(self, query: sql.Query) -> bool:
        """It has calls over an outer query's columns."""
        inside = {n.alias for n in sql.nodes(query) if isinstance(n, sql.Table | sql.Sub)}
        calls = (n for n in sql.nodes(query) if isinstance(n, sql.Call))
        return any(n.table not in inside for call in calls for n in sql.nodes(call) if isinstance(n, sql.Col))

    def decides(self, e: sql.Op, value: Any) -> bool:
        """One side is enough: FALSE of an AND, TRUE of an OR, NULL of a comparison."""
        return e.symbol != "<=>" and value is {"AND": False, "OR": True}.get(e.symbol)

    def name(self, e: sql.Expr, env: Env) -> Hashable:
        if env.known and e in env.known:
            return env.known[e].name
        if isinstance(e, sql.Col):
            return env.rows[e.table].columns[e.name].name
        if isinstance(e, sql.Agg | sql.InQuery | sql.Exists | sql.Scalar):
            return (str(e), env.uid)
        plain = tuple(v for v in vars(e).values() if not isinstance(v, sql.Expr | tuple))
        return (type(e).__name__, plain, *(self.name(c, env) for c in sql.children(e) if isinstance(c, sql.Expr)))

    def _call(self, e: sql.Call, env: Env) -> Any:
        values = [self.value(f, env) for f in e.fields]
        tables = {c.table for c in sql.nodes(e) if isinstance(c, sql.Col)}
        # over an outer query's columns alone: once for each row of that query
        uid = None if tables and tables <= env.outer else env.uid
        # the prompt names its columns: the same value under another name is another call
        names = tuple(f.name if isinstance(f, sql.Col) else None for f in e.fields)
        self.asked[self.name(e, env), names][env.place].add(uid)
        return answer(e.prompt, values)

    def _col(self, e: sql.Col, env: Env) -> Any:
        return env.rows[e.table].columns[e.name].get()

    def _lit(self, e: sql.Lit, env: Env) -> Any:
        return e.value

    def _op(self, e: sql.Op, env: Env) -> Any:
        """The side that does not ask comes first."""
        cheap, dear = sorted(self.ordered((e.left, e.right)), key=lambda side: self.asks(side, env))
        first = self.value(cheap, env)
        if self.decides(e, first):
            return first
        second = self.value(dear, env)
        left, right = (first, second) if cheap is e.left else (second, first)
        if self.decides(e, second) or e.symbol not in COMPARE:
            return second if self.decides(e, second) or first is not None else None
        return COMPARE[e.symbol](left, right)

    def _not(self, e: sql.Not, env: Env) -> Any:
        value = self.value(e.value, env)
        return None if value is None else not value

    def _isnull(self, e: sql.IsNull, env: Env) -> bool:
        return self.value(e.value, env) is None

    def _case(self, e: sql.Case, env: Env) -> Any:
        then = e.then == e.other or self.value(e.when, env) is True  # nobody reads `when` where both are the same
        return self.value(e.then if then else e.other, env)

    def _coalesce(self, e: sql.Coalesce, env: Env) -> Any:
        return next((v for f in e.values if (v := self.value(f, env)) is not None), None)

    def _agg(self, e: sql.Agg, env: Env) -> Any:
        assert env.group
        members = env.group.members.get()
        if e.value is None:
            return len(members)
        values = [v for m in members if (v := self.value(e.value, m)) is not None]
        if e.name == "count":
            return len(set(values) if e.distinct else values)
        return {"min": min, "max": max}[e.name](values, default=None)  # type: ignore[operator]

    def _exists(self, e: sql.Exists, env: Env) -> bool:
        return any([self.settle(row) for row in self.query(e.query, env)])  # noqa: C419 (all of them)

    def _scalar(self, e: sql.Scalar, env: Env) -> Any:
        self.prepare(e)  # it may stand in SELECT
        found = self.found(e.query, env)
        assert len(found) <= 1
        return found[0] if found else None

    def _inquery(self, e: sql.InQuery, env: Env) -> Any:
        found = self.found(e.query, env)
        if not found:
            return False
        value = self.value(e.value, env)
        if value is None:
            return None
        return True if value in found else None if None in found else False

    def found(self, query: sql.Query, env: Env) -> list[Any]:
        return [next(iter(r.columns.values())).get() for r in self.query(query, env) if self.settle(r)]


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=>": lambda a, b: a == b,
}
