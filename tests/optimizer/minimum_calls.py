"""An independent oracle: the rows of a query, and the fewest rows that a model must be asked to find them.

It evaluates the tree in plain Python and knows nothing of Catalyst. Every value is worked out when somebody reads it
(`Later`), and so is whether a row is there at all (`Row.conditions`): conditions that ask are put off, those that do
not are tried at once. So a call is asked only for rows that passed every cheap predicate, wherever it is written, and
only if its answer decides something. What is asked for then is counted, and that is the minimum:

- a call written above a join counts once for each joined row that reads it, one in a join's condition once for each row
  of its side; where both are written, the fewer;
- subqueries are made before an answer about an outer row is known: those of their rows are asked that pass their own
  conditions and, where the rows outside are those of one table, that one of them which passed every cheap condition
  there can meet (a join would be worked out twice for that);
- a row that no answers can keep (`x = 'a'` where `x = 'b'` is demanded as well) is not asked;
- two conditions that both ask may come in either order: `evaluate` tries both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.optimizer import query_tree as sql
from tests.optimizer.lazy_values import COMPARE, Env, Group, Later, Row, Values
from tests.optimizer.subqueries import Subquery, alone, conjunction, correlated, made_for, of_one_table, subqueries

__all__ = ["evaluate"]

Tables = Mapping[str, list[dict[str, Any]]]


def evaluate(query: sql.Query, tables: Tables) -> tuple[list[list[Any]], int, int]:
    """The rows of `query`, the fewest rows that must be asked, and as many as with conditions in the worse order."""
    tries = [Oracle(tables, backward) for backward in (False, True)]
    rows = [oracle.result(query) for oracle in tries]
    assert rows[0] == rows[1], "the order of conditions changed the result"
    totals = [oracle.total() for oracle in tries]
    return rows[0], min(totals), max(totals)


class Oracle(Values):
    def __init__(self, tables: Tables, backward: bool) -> None:
        super().__init__(backward)
        self.tables = tables
        self.named: dict[str, list[Row]] = {}
        self.outside: dict[Subquery, list[Env]] = {}  # the rows that a subquery in SELECT is made for
        self.columns: dict[str, list[str]] = {name: list(rows[0]) for name, rows in tables.items()}

    def result(self, query: sql.Query) -> list[list[Any]]:
        rows = self.query(query)
        self.shown(query)
        rows = [row for row in rows if self.settle(row)]
        return [[column.get() for column in row.columns.values()] for row in rows]

    def shown(self, query: sql.Query) -> None:
        """Subqueries in the SELECT list of the whole query run whether it has a row or not."""
        if isinstance(query, sql.Union):
            self.shown(query.left)
            self.shown(query.right)
        elif isinstance(query, sql.With):
            self.shown(query.body)
        else:
            for e, _ in query.items:
                self.prepare(e)

    def keep(self, env: Env, condition: sql.Expr | None) -> Env | None:
        """None if a cheap condition is not true, or no answer could make all true; those that ask are put off."""
        asking = [c for c in sql.conjuncts(condition) if self.asks(c, env)]
        if not all(self.value(c, env) is True for c in sql.conjuncts(condition) if c not in asking):
            return None
        put_off = [Later(lambda c=c: self.value(c, env) is True, True, self.fact(c, env)) for c in asking]  # type: ignore[misc]
        conditions = (*env.conditions, *put_off)
        facts = [c.name for c in conditions if isinstance(c.name, tuple)]
        possible = all(self.possible(c, env, facts) for c in asking)
        return replace(env, conditions=conditions) if possible else None

    def fact(self, c: sql.Expr, env: Env) -> tuple[Hashable, Any] | None:
        """The value that a condition demands of an expression."""
        if isinstance(c, sql.Op) and c.symbol in ("=", "<=>") and isinstance(c.right, sql.Lit):
            return self.name(c.left, env), c.right.value
        return None

    def possible(self, c: sql.Expr, env: Env, facts: list[tuple[Hashable, Any]]) -> bool:
        """It can be true where those facts are, as far as they tell; NOT IN a set with a NULL in it cannot."""
        if not self.asks(c, env):
            return self.value(c, env) is True
        if isinstance(c, sql.Op) and c.symbol in ("AND", "OR"):
            sides = [self.possible(side, env, facts) for side in (c.left, c.right)]
            return all(sides) if c.symbol == "AND" else any(sides)
        if isinstance(c, sql.Op) and c.symbol in COMPARE and isinstance(c.right, sql.Lit):
            name = self.name(c.left, env)
            return all(COMPARE[c.symbol](value, c.right.value) for of, value in facts if of == name)
        if isinstance(c, sql.Not) and isinstance(c.value, sql.InQuery):
            rows = self.query(c.value.query, env)
            there = [column for row in rows if not row.conditions for column in row.columns.values()]
            return not any(not column.asks and column.get() is None for column in there)
        return True

    # queries

    def query(self, query: sql.Query, outer: Env | None = None) -> list[Row]:
        if isinstance(query, sql.Union):
            return self.query(query.left) + [renamed(row, sql.schema(query.left)) for row in self.query(query.right)]
        if isinstance(query, sql.With):
            rows = self.query(query.query)
            self.named[query.name] = self.cached(query.name, rows) if query.cached else rows
            self.columns[query.name] = sql.schema(query.query)
            return self.query(query.body)
        return self.select(query, outer)

    def cached(self, name: str, rows: list[Row]) -> list[Row]:
        """A cache holds every column of every row."""
        values = [{n: c.get() for n, c in row.columns.items()} for row in rows if self.settle(row)]
        return self.stored(name, values)

    def stored(self, name: str, values: list[dict[str, Any]]) -> list[Row]:
        return [Row((name, i), {n: Later.now(v, (name, i, n)) for n, v in row.items()}) for i, row in enumerate(values)]

    def select(self, q: sql.Select, outer: Env | None) -> list[Row]:
        envs = [] if contradicts(q.where) else self.met(q, self.source(q.source, outer))
        if q.group is not None:
            envs = self.kept(self.groups(q.group, envs, str(q)), q.having)
        envs = self.numbered(q, envs)
        if of_one_table(q.source):
            for subquery in (s for e, _ in q.items for s in subqueries(e)):
                self.outside.setdefault(subquery, envs)
        rows = [Row(env.uid, {name: self.later(e, env) for e, name in q.items}, env.conditions) for env in envs]
        if q.distinct:
            rows = self.different(rows, str(q))
        return self.sorted(q, rows, envs) if q.order else rows

    def met(self, q: sql.Select, envs: list[Env]) -> list[Env]:
        """The rows that a WHERE keeps; its subqueries are made for those that its other conditions keep."""
        others = conjunction(c for c in sql.conjuncts(q.where) if not subqueries(c))
        there = [env for env in envs if self.keep(env, others)]
        self.prepare(q.where, there if of_one_table(q.source) else None)
        return self.kept(there, q.where)

    def prepare(self, e: sql.Expr | None, outside: list[Env] | None = None) -> None:
        """Subqueries are sets, made before any row of the query that reads them, or for those `outside`."""
        for subquery in subqueries(e):
            if subquery not in self.prepared:
                self.prepared.add(subquery)
                outer = self.outside.get(subquery) if outside is None else outside
                if outer is None or not correlated(subquery):
                    rows = self.query(alone(subquery))
                else:
                    rows = [row for env in outer for row in self.query(made_for(subquery), env)]
                there = [row for row in rows if self.settle(row)]
                if not isinstance(subquery, sql.Exists):
                    [column.get() for row in there for column in row.columns.values()]

    def kept(self, envs: Iterable[Env], condition: sql.Expr | None) -> list[Env]:
        return [kept for env in envs if (kept := self.keep(env, condition))]

    def different(self, rows: list[Row], place: str) -> list[Row]:
        keys = [sql.Col("", name) for name in rows[0].columns] if rows else []
        envs = [Env({"": row}, frozenset(), row.uid, place, row.conditions) for row in rows]
        found = self.groups(keys, envs, place) if rows else []
        return [Row(e.uid, {k.name: e.known[k] for k in keys}, e.conditions) for e in found]

    def sorted(self, q: sql.Select, rows: list[Row], envs: list[Env]) -> list[Row]:
        """A sort key that is a number is the place of a column, as in SQL."""
        at = [i for i in range(len(rows)) if self.settle(rows[i])]
        for e, descending in reversed(q.order):
            column = sql.schema(q)[int(e.value) - 1] if isinstance(e, sql.Lit) and e.value is not None else None
            keys = [rows[i].columns[column] if column else self.later(e, envs[i]) for i in range(len(rows))]
            at.sort(key=lambda i: ordinal(keys[i].get()), reverse=descending)
        return [replace(rows[i], conditions=()) for i in at[: q.limit]]

    # sources

    def source(self, s: sql.Source, outer: Env | None) -> list[Env]:
        if isinstance(s, sql.Join):
            return self.join(s, outer)
        rows = self.query(s.query, outer) if isinstance(s, sql.Sub) else self.table(s)
        above = outer.rows if outer else {}
        return [Env({**above, s.alias: r}, frozenset(above), (r.uid,), s.alias, r.conditions) for r in rows]

    def table(self, t: sql.Table) -> list[Row]:
        return self.named[t.name] if t.name in self.named else self.stored(t.alias, self.tables[t.name])

    def join(self, j: sql.Join, outer: Env | None) -> list[Env]:
        self.prepare(j.on)
        left, right = self.source(j.left, outer), self.source(j.right, outer)
        of_left: dict[int, list[Env]] = defaultdict(list)
        of_right: dict[int, list[Env]] = defaultdict(list)
        pairs = []
        for (i, a), (k, b) in ((x, y) for x in enumerate(left) for y in enumerate(right)):
            meeting = Env({**a.rows, **b.rows}, a.outer, None, str(j.on))
            if on := self.keep(meeting, j.on):
                pair = pasted(a, b, on.conditions)
                pairs.append(pair)
                of_left[i].append(replace(pair, conditions=b.conditions + on.conditions))
                of_right[k].append(replace(pair, conditions=a.conditions + on.conditions))
        if j.kind in ("LEFT SEMI", "LEFT ANTI"):
            return list(self.matched(left, of_left, wanted=j.kind == "LEFT SEMI"))
        if j.kind in ("LEFT", "FULL"):
            pairs += [pasted(a, self.nothing(j.right, outer)) for a in self.matched(left, of_left, wanted=False)]
        if j.kind in ("RIGHT", "FULL"):
            pairs += [pasted(self.nothing(j.left, outer), b) for b in self.matched(right, of_right, wanted=False)]
        return pairs

    def matched(self, side: list[Env], partners: Mapping[int, list[Env]], wanted: bool) -> Iterator[Env]:
        """Rows of a side that have a partner, or that have none."""
        for i, env in enumerate(side):
            sure = any(not p.conditions for p in partners[i])
            if sure or not partners[i]:
                if sure == wanted:
                    yield env
            else:
                match = Later(lambda i=i: any([self.settle(p) for p in partners[i]]) == wanted, asks=True)  # type: ignore[misc] # noqa: C419
                yield replace(env, conditions=(*env.conditions, match))

    def nothing(self, s: sql.Source, outer: Env | None) -> Env:
        """The NULLs that an outer join puts in place of a side."""
        if isinstance(s, sql.Join):
            left = self.nothing(s.left, outer)
            return left if "SEMI" in s.kind or "ANTI" in s.kind else pasted(left, self.nothing(s.right, outer))
        names = sql.schema(s.query) if isinstance(s, sql.Sub) else self.columns[s.name]
        row = Row((s.alias, None), {n: Later.now(None, (s.alias, None, n)) for n in names})
        above = outer.rows if outer else {}
        return Env({**above, s.alias: row}, frozenset(above), (row.uid,), s.alias)

    # groups and windows

    def groups(self, keys: Sequence[sql.Expr], envs: list[Env], place: str) -> list[Env]:
        """One row per group. Which groups there are may depend on answers: then every row may be the first of one."""
        if not keys:
            members = Later(lambda: [e for e in envs if self.settle(e)], any(e.conditions for e in envs))
            return [Env({}, frozenset(), ("all", place), place, group=Group(members, envs))]
        cheap = [k for k in keys if not any(self.asks(k, e) for e in envs)]
        parts: dict[Hashable, list[Env]] = defaultdict(list)
        for env in envs:
            parts[tuple(self.value(k, env) for k in cheap)].append(env)
        found = (self.leader(keys, part, i, place) for part in parts.values() for i in range(len(part)))
        return [env for env in found if env]

    def leader(self, keys: Sequence[sql.Expr], part: list[Env], at: int, place: str) -> Env | None:
        """The group whose first row is `part[at]`, if it is one."""
        own = part[at]

        def key(env: Env) -> tuple[Any, ...]:
            return tuple(self.value(k, env) for k in keys)

        asks = any(e.conditions or any(self.asks(k, e) for k in keys) for e in part)
        members = Later(lambda: [e for e in part if self.settle(e) and key(e) == key(own)], asks)
        first = Later(lambda: self.settle(own) and members.get()[0] is own, asks)
        if not asks and not first.get():
            return None
        uid = ("group", place, own.uid)
        known = {k: Later(self.later(k, own).get, self.asks(k, own), self.name(k, own)) for k in keys}
        conditions = (first,) if asks else ()
        return Env(own.rows, own.outer, uid, place, conditions, known, Group(members, part))

    def numbered(self, q: sql.Select, envs: list[Env]) -> list[Env]:
        windows = [e for e, _ in q.items if isinstance(e, sql.RowNumber)]
        return [replace(e, known={w: self.number(w, envs, e) for w in windows}) for e in envs] if windows else envs

    def number(self, w: sql.RowNumber, envs: list[Env], env: Env) -> Later:
        part = [e for e in envs if self.value(w.partition, e) == self.value(w.partition, env)]

        def work() -> int | None:
            there = [e for e in part if self.settle(e)]
            before = [e for e in there if ordinal(self.value(w.order, e)) < ordinal(self.value(w.order, env))]
            return len(before) + 1 if self.settle(env) else None

        return Later(work, any(e.conditions or self.asks(w.order, e) for e in part), (str(w), env.uid))


def contradicts(condition: sql.Expr | None) -> bool:
    """It demands two values of one expression."""
    demanded: dict[sql.Expr, Any] = {}
    equal = [c for c in sql.conjuncts(condition) if isinstance(c, sql.Op) and c.symbol in ("=", "<=>")]
    pairs = [(c.left, c.right.value) for c in equal if isinstance(c.right, sql.Lit)]
    return any(demanded.setdefault(left, value) != value for left, value in pairs)


def renamed(row: Row, names: list[str]) -> Row:
    return replace(row, columns=dict(zip(names, row.columns.values(), strict=True)))


def pasted(a: Env, b: Env, conditions: tuple[Later, ...] = ()) -> Env:
    """One joined row."""
    uid = (a.uid, b.uid)
    return Env({**a.rows, **b.rows}, a.outer, uid, (a.place, b.place), a.conditions + b.conditions + conditions)


def ordinal(value: Any) -> tuple[bool, Any]:
    """Spark's order: NULL is least."""
    return (value is not None, 0 if value is None else value)
