"""Random conditions and values over the columns in sight: half of the generator."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import count
from typing import Any

from tests.optimizer import query_tree as sql
from tests.optimizer.small_tables import COLUMNS

__all__ = ["PROMPTS", "TEXTS", "Expressions", "Scope"]

PROMPTS = ("classify", "Is it good?", "Which mood is it?")
TEXTS = ("good", "bad", "ok", "lamp", "desk")


@dataclass
class Scope:
    """The columns in sight, and the one that tells rows apart, where there is one."""

    columns: list[tuple[sql.Col, str]]
    unique: sql.Col | None = None

    def of(self, *types: str) -> list[sql.Col]:
        return [column for column, kind in self.columns if kind in types]

    @classmethod
    def under(cls, alias: str, types: Mapping[str, str], unique: str | None) -> Scope:
        columns = [(sql.Col(alias, name), kind) for name, kind in types.items()]
        return cls(columns, sql.Col(alias, unique) if unique else None)


class Expressions(ABC):
    def __init__(self, rng: random.Random) -> None:
        self.random = rng
        self.aliases = (f"a{i}" for i in count())
        self.names = (f"c{i}" for i in count())
        self.calls: list[sql.Call] = []

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def one(self, values: Iterable[Any]) -> Any:
        return self.random.choice(list(values))

    def pick(self, **weights: int) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]

    @abstractmethod
    def table(self, name: str) -> tuple[sql.Table, Scope]:
        """A table of that name, and what its columns are."""

    def number(self, *weights: int) -> int:
        return self.random.choices(range(len(weights)), weights)[0]

    # conditions

    def where(self, scope: Scope) -> sql.Expr | None:
        kinds = [self.pick(cheap=42, paid=33, either=8, subquery=17) for _ in range(self.number(30, 40, 30))]
        return self.all_of([getattr(self, kind)(scope) for kind in kinds])

    def all_of(self, conditions: list[Any]) -> Any:
        """None for none."""
        return reduce(lambda a, b: sql.Op("AND", a, b), conditions) if conditions else None

    def cheap(self, scope: Scope) -> sql.Expr:
        column, kind = self.one(scope.columns)
        if self.chance(15):
            return self.one([sql.IsNull(column), sql.Not(sql.IsNull(column))])  # type: ignore[no-any-return]
        literal = sql.Lit(self.random.randrange(6)) if kind == "int" else sql.Lit(self.one(TEXTS))
        return sql.Op(self.one(["=", "<>", "<", ">"] if kind == "int" else ["=", "<>"]), column, literal)

    def paid(self, scope: Scope) -> sql.Expr:
        call = self.call(scope)
        if self.chance(10):
            return sql.Not(sql.IsNull(call))
        return sql.Op(self.one(["=", "=", "<>", "<=>"]), call, sql.Lit(self.one(TEXTS[:3])))

    def either(self, scope: Scope) -> sql.Expr:
        left, right = self.random.sample([self.cheap(scope), self.paid(scope)], 2)
        return sql.Op("OR", left, right)

    def subquery(self, scope: Scope) -> sql.Expr:
        kind = self.pick(exists=35, member=40, scalar=25)
        found: sql.Expr = getattr(self, kind)(scope)
        return sql.Not(found) if kind != "scalar" and self.chance(30) else found

    def exists(self, scope: Scope) -> sql.Expr:
        source, inner = self.table(self.one(COLUMNS))
        conditions = [self.correlated(scope, inner)]
        conditions += [self.paid(inner)] if self.chance(60) else [self.paid(scope)] if self.chance(30) else []
        conditions += [self.cheap(inner)] if self.chance(30) else []
        return sql.Exists(sql.Select(((sql.Lit(1), next(self.names)),), source, self.all_of(conditions)))

    def member(self, scope: Scope) -> sql.Expr:
        source, inner = self.table(self.one(COLUMNS))
        value: sql.Expr = self.call(scope) if self.chance(20) or not scope.of("text") else self.one(scope.of("text"))
        conditions = [self.correlated(scope, inner)] if self.chance(25) else []
        conditions += [self.cheap(inner)] if self.chance(40) else []
        item = (self.value(inner, "text"), next(self.names))
        return sql.InQuery(value, sql.Select((item,), source, self.all_of(conditions)))

    def scalar(self, scope: Scope) -> sql.Expr:
        texts = scope.of("text")
        return sql.Op(self.one(["=", "<>"]), self.one(texts), self.scalar_text(scope)) if texts else self.cheap(scope)

    def scalar_text(self, scope: Scope) -> sql.Expr:
        source, inner = self.table(self.one(COLUMNS))
        conditions = [self.correlated(scope, inner)] if self.chance(40) else []
        conditions += [self.cheap(inner)] if self.chance(30) else []
        item = (sql.Agg(self.one(["min", "max"]), self.value(inner, "text")), next(self.names))
        return sql.Scalar(sql.Select((item,), source, self.all_of(conditions), group=()))

    def correlated(self, scope: Scope, inner: Scope) -> sql.Expr:
        return self.equal(scope, inner) or self.cheap(inner)

    def equal(self, left: Scope, right: Scope) -> sql.Expr | None:
        """Two columns, more often numbers, which match more often."""
        kinds = ["int", "text"] if self.chance(70) else ["text", "int"]
        pairs = [[(a, b) for a in left.of(kind) for b in right.of(kind)] for kind in kinds]
        found = next((p for p in pairs if p), None)
        return sql.Op("=", *self.one(found)) if found else None

    # values

    def value(self, scope: Scope, kind: str) -> sql.Expr:
        if kind == "int":
            return self.one(scope.of("int") or [sql.Lit(7)])  # type: ignore[no-any-return]
        form = self.pick(column=40, call=42, case=8, coalesce=6, scalar=3)
        texts = scope.of("text")
        if form == "column" and texts:
            return self.one(texts)  # type: ignore[no-any-return]
        if form == "case":
            when = self.cheap(scope) if self.chance(60) else self.paid(scope)
            return sql.Case(when, self.call(scope), self.call(scope) if self.chance(40) else sql.Lit("no"))
        if form == "coalesce" and texts:
            return sql.Coalesce((self.one(texts), self.call(scope)))
        return self.scalar_text(scope) if form == "scalar" else self.call(scope)

    def call(self, scope: Scope) -> sql.Call:
        """Often one that is there already."""
        seen = {column for column, _ in scope.columns}
        again = [c for c in self.calls if {n for n in sql.nodes(c) if isinstance(n, sql.Col)} <= seen]
        if again and self.chance(45):
            return self.one(again)  # type: ignore[no-any-return]
        fields: list[sql.Expr] = self.random.sample(scope.of("text") or scope.of("int"), 1)
        if self.chance(20):
            fields.append(self.one(scope.of("int", "text")))
        if self.chance(10):
            fields[0] = sql.Call(self.one(PROMPTS), (fields[0],))
        self.calls.append(sql.Call(self.one(PROMPTS), tuple(fields)))
        return self.calls[-1]
