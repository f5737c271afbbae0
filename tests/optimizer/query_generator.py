"""Random queries with calls over three small tables that have NULLs and duplicates: the same seed, the same query.

Every query has one right result: LIMIT stands only where the order decides which rows remain.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from tests.optimizer import query_tree as sql
from tests.optimizer.expression_generator import PROMPTS, TEXTS, Expressions, Scope
from tests.optimizer.small_tables import COLUMNS, UNIQUE

__all__ = ["generate"]

Typed = list[tuple[sql.Expr, str]]


def generate(seed: int) -> sql.Query:
    """A query with at least one call."""
    for attempt in count():
        query = Generator(random.Random(seed * 1000 + attempt)).query()
        if any(isinstance(n, sql.Call) for n in sql.nodes(query)) and not beyond_spark(query):
            return query
    raise AssertionError


def beyond_spark(query: sql.Query) -> bool:
    """Spark 4.3 fails on a scalar subquery inside an aggregate of another one, with calls or without."""
    outer = (n for n in sql.nodes(query) if isinstance(n, sql.Scalar))
    inside = (n for scalar in outer for n in sql.nodes(scalar.query) if isinstance(n, sql.Agg))
    return any(isinstance(n, sql.Scalar) for aggregate in inside for n in sql.nodes(aggregate))


@dataclass
class Made:
    """A query, the types of its columns, and the name of a unique one, where there is one."""

    query: sql.Select
    types: dict[str, str]
    unique: str | None = None


class Generator(Expressions):
    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.named: dict[str, Made] = {}

    def query(self) -> sql.Query:
        kind = self.pick(select=80, union=8, cte=8, cached=4)
        if kind == "union":
            left = self.select(depth=1)
            return sql.Union(left.query, self.plain(1, list(left.types.values())).query)
        if kind == "select":
            return self.ended(self.select(depth=2).query)
        self.named["kept"] = self.plain(1)
        bodies = (self.select(depth=1).query for _ in count())
        body = next(b for b in bodies if any(isinstance(n, sql.Table) and n.name == "kept" for n in sql.nodes(b)))
        return sql.With("kept", self.named["kept"].query, body, cached=kind == "cached")

    def ended(self, query: sql.Select) -> sql.Select:
        """Sometimes sorted by all columns, sometimes cut."""
        if query.order or not self.chance(25):
            return query
        order = tuple((sql.Lit(i + 1), self.chance(30)) for i in range(len(query.items)))
        return replace(query, order=order, limit=self.random.randrange(1, 5) if self.chance(40) else None)

    # one SELECT

    def select(self, depth: int) -> Made:
        style = self.pick(plain=50, grouped=18, distinct=8, first=8, top=8, semi=8)
        return getattr(self, style)(depth)  # type: ignore[no-any-return]

    def made(self, values: Typed, source: sql.Source, scope: Scope, **clauses: Any) -> Made:
        items = tuple((e, next(self.names)) for e, _ in values)
        types = {name: kind for (_, name), (_, kind) in zip(items, values, strict=True)}
        unique = next((name for e, name in items if e == scope.unique), None)
        return Made(sql.Select(items, source, **clauses), types, unique)

    def plain(self, depth: int, types: list[str] | None = None) -> Made:
        source, scope = self.source(depth)
        return self.made(self.columns(scope, types), source, scope, where=self.where(scope))

    def columns(self, scope: Scope, types: list[str] | None = None) -> Typed:
        wanted = types or self.random.choices(["int", "text"], [1, 2], k=self.random.randrange(1, 4))
        values = [(self.value(scope, kind), kind) for kind in wanted]
        return [(scope.unique, "int"), *values] if scope.unique and not types and self.chance(70) else values

    def distinct(self, depth: int) -> Made:
        made = self.plain(depth)
        return Made(replace(made.query, distinct=True), made.types)

    def semi(self, depth: int) -> Made:
        (left, scope), (right, other) = self.source(0), self.source(depth - 1)
        join = sql.Join(self.one(["LEFT SEMI", "LEFT ANTI"]), left, right, self.on(scope, other, inner=False))
        return self.made(self.columns(scope), join, scope, where=self.where(scope))

    def first(self, depth: int) -> Made:
        """The first row of each partition."""
        source, scope = self.of_reviews()
        assert scope.unique
        window = sql.RowNumber(self.one(scope.of("text")), scope.unique)
        inner = self.made([*self.columns(scope), (window, "int")], source, scope, where=self.where(scope))
        *_, number = inner.types
        source, scope = self.sub(inner)
        assert isinstance(source, sql.Sub)
        conditions: list[sql.Expr] = [sql.Op("=", sql.Col(source.alias, number), sql.Lit(1))]
        conditions += [self.cheap(scope)] if self.chance(30) else []
        return self.made(self.columns(scope), source, scope, where=self.all_of(conditions))

    def top(self, depth: int) -> Made:
        """The first rows by a unique column."""
        source, scope = self.of_reviews()
        assert scope.unique
        order, limit = ((scope.unique, self.chance(50)),), self.random.randrange(1, 5)
        where = self.cheap(scope) if self.chance(50) else None
        return self.made(self.columns(scope), source, scope, where=where, order=order, limit=limit)

    # GROUP BY

    def grouped(self, depth: int) -> Made:
        source, scope = self.source(depth)
        kinds = [self.one(["int", "text"]) for _ in range(self.number(25, 50, 25))]
        keys = {self.value(scope, kind): kind for kind in kinds if scope.of(kind)}
        values: Typed = [*keys.items(), *(self.aggregate(scope) for _ in range(self.number(20, 60, 20)))]
        texts = [e for e, kind in values if kind == "text"]
        if texts and self.chance(25):
            values.append((sql.Call(self.one(PROMPTS), (self.one(texts),)), "text"))
        clauses = {"group": tuple(keys), "having": self.having([k for k in keys if keys[k] == "text"])}
        return self.made(values or [(sql.Agg("count"), "int")], source, Scope([]), where=self.where(scope), **clauses)

    def aggregate(self, scope: Scope) -> tuple[sql.Expr, str]:
        value = self.value(scope, "text")
        if self.chance(50):
            return sql.Agg(self.one(["min", "max"]), value), "text"
        return sql.Agg("count", value, self.chance(40)) if self.chance(60) else sql.Agg("count"), "int"

    def having(self, texts: list[sql.Expr]) -> sql.Expr | None:
        kind = self.pick(none=65, count=6, key=17, call=12)
        if kind == "count":
            return sql.Op(">", sql.Agg("count"), sql.Lit(1))
        if kind == "none" or not texts:
            return None
        key = self.one(texts)
        value = key if kind == "key" else sql.Call(self.one(PROMPTS), (key,))
        return sql.Op("=", value, sql.Lit(self.one(TEXTS[:3])))

    # FROM

    def source(self, depth: int) -> tuple[sql.Source, Scope]:
        kind = self.pick(table=50, join=28, sub=22) if depth > 0 else "table"
        if kind == "join":
            return self.join(depth)
        return self.sub(self.select(depth - 1)) if kind == "sub" else self.table(self.one([*COLUMNS, *self.named]))

    def table(self, name: str) -> tuple[sql.Table, Scope]:
        made = self.named.get(name)
        table = sql.Table(name, next(self.aliases))
        types, unique = (made.types, made.unique) if made else (COLUMNS[name], UNIQUE.get(name))
        return table, Scope.under(table.alias, types, unique)

    def sub(self, made: Made) -> tuple[sql.Sub, Scope]:
        sub = sql.Sub(made.query, next(self.aliases))
        return sub, Scope.under(sub.alias, made.types, made.unique)

    def of_reviews(self) -> tuple[sql.Source, Scope]:
        """The table, or a subquery over it that keeps its unique column, a text and a call."""
        source, scope = self.table("reviews")
        if self.chance(50):
            return source, scope
        assert scope.unique
        values: Typed = [(scope.unique, "int"), (self.one(scope.of("text")), "text"), (self.call(scope), "text")]
        return self.sub(self.made(values, source, scope, where=self.where(scope)))

    def join(self, depth: int) -> tuple[sql.Source, Scope]:
        kind = self.pick(INNER=50, LEFT=25, RIGHT=10, FULL=15)
        (left, scope), (right, other) = self.source(depth - 1), self.source(depth - 1)
        on = self.on(scope, other, inner=kind == "INNER")
        return sql.Join(kind, left, right, on), Scope(scope.columns + other.columns)

    def on(self, left: Scope, right: Scope, inner: bool) -> sql.Expr:
        both = [self.equal(left, right) or self.cheap(left)]
        more = self.pick(none=60, cheap=22, left=3, right=3, pair=12)
        if more == "cheap":
            both.append(self.cheap(self.one([left, right])))
        elif more in ("left", "right"):
            both.append(self.paid(left if more == "left" else right))
        elif more == "pair" and inner:
            fields = (self.one(left.of("int", "text")), self.one(right.of("int", "text")))
            both.append(sql.Op("=", sql.Call(self.one(PROMPTS), fields), sql.Lit(self.one(TEXTS[:3]))))
        return self.all_of(self.random.sample(both, len(both)))
