"""One SELECT with calls -> the same SELECT over derived tables in which each call is a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from sparkllm.config import LLMConfig
from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite import cascade, push_limits
from sparkllm.optimizer.rewrite.asked import Asked, calls_in, is_call, own_nodes, read_call, text_of
from sparkllm.optimizer.rewrite.guards import either, guard_of
from sparkllm.optimizer.rewrite.levels import ANSWER_TYPE, Ask, Levels
from sparkllm.optimizer.rewrite.rows import Names, Rows

__all__ = ["Platform", "SelectWork"]

_KEPT = ("group", "having", "order", "limit", "offset", "distinct", "sort", "cluster", "distribute", "windows", "with_")


class Platform(Protocol):
    """What the rewriting asks of a session."""

    config: LLMConfig

    def describe(self, query: str) -> list[tuple[str, str]]:
        """(name, SQL type in small letters) of each column of a query, which is not run."""

    def request(self, call: str) -> str:
        """What a worker is told of a call, as JSON; both."""


@dataclass
class SelectWork:
    """The work on one SELECT, in which no call is over a group or a window.

    Attributes:
        outer: names of sources outside, which a correlated subquery may read.
        with_: the CTEs that it can read.
    """

    select: exp.Select
    platform: Platform
    names: Names
    outer: frozenset[str] = frozenset()
    with_: Sequence[exp.Expr] = ()
    asks: list[Ask] = field(default_factory=list)

    def done(self) -> exp.Select:
        """The SELECT that stands in its place."""
        self._check()
        rows = self.rows = Rows(self.select, self.names)
        cheap, asking, late = self._conditions()
        rows.where = cheap
        columns = [_named(e, rows.lift(e)) for e in self.select.expressions]
        kept = {k: rows.lift(v) if isinstance(v, exp.Expr) and k != "with_" else v for k, v in self._kept()}
        asking = [rows.lift(e) for e in asking]
        late = [rows.lift(e) for e in late]
        whole = [*asking, *columns, *(v for v in kept.values() if isinstance(v, exp.Expr)), *late]
        holders = [exp.Tuple(expressions=[e]) for e in whole]  # so that a call that stands alone can be replaced
        for holder in holders:
            self._mark(holder)
        self._guard(holders)
        self._unmark(holders)
        out = [holder.expressions[0] for holder in holders]
        asking, columns = out[: len(asking)], out[len(asking) : len(asking) + len(columns)]
        rest = iter(out[len(asking) + len(columns) :])
        kept = {k: next(rest) if isinstance(v, exp.Expr) else v for k, v in kept.items()}
        return self._built(asking, columns, kept, list(rest))

    def _kept(self) -> list[tuple[str, exp.Expr | list[exp.Expr]]]:
        return [(key, self.select.args[key]) for key in _KEPT if self.select.args.get(key)]

    def _built(
        self,
        asking: list[exp.Expr],
        columns: list[exp.Expr],
        kept: dict[str, exp.Expr | list[exp.Expr]],
        late: list[exp.Expr],
    ) -> exp.Select:
        config = self.platform.config
        self._describe()
        pushed = push_limits.pushable(self.select, asking) and config.optimizer_push_limits
        if pushed:
            self.rows.tail = push_limits.tail(self.select)
            kept.pop("offset", None)
        limited = pushed or push_limits.stops_early(self.select)
        levels = Levels(self.rows, self.names, config.optimizer_co_locate and not limited, config.tasks)
        self._place(levels, asking)
        table, left = levels.finish("order" in kept and "limit" not in kept)
        final = exp.Select(expressions=[self._without_helpers(e, levels) for e in columns])
        final.set("from_", exp.From(this=table))
        if left or late:
            final.where(*left, *late, copy=False)
        for key, value in kept.items():
            final.set(key, value)
        return final

    def _place(self, levels: Levels, asking: list[exp.Expr]) -> None:
        """Conditions and their calls by cost, then the calls that only the answer shows."""
        answers = {ask.answer: ask for ask in self.asks}
        needs = self._needs()
        if self.platform.config.optimizer_order_cascade:
            most = self.platform.config.max_tokens
            costs = {name: cascade.cost(ask.asked, ask.types, most) for name, ask in answers.items()}
            asking = cascade.order(asking, needs, costs, {name: ask.asked for name, ask in answers.items()})
        placed = set[str]()

        def place(name: str) -> None:
            for need in (n for n in answers if n in needs[name] or n == name):  # inner ones were found first
                if need not in placed:
                    placed.add(need)
                    levels.ask(answers[need])

        for condition in asking:
            for name in [n for n in answers if n in _read(condition, answers)]:
                place(name)
            levels.keep(condition)
        for name in answers:
            place(name)

    def _needs(self) -> dict[str, frozenset[str]]:
        """answer -> all answers that must be there before it."""
        names, needs = {ask.answer for ask in self.asks}, dict[str, frozenset[str]]()

        def of(ask: Ask) -> frozenset[str]:
            if ask.answer not in needs:
                needs[ask.answer] = frozenset()  # a call cannot wait for itself
                parts = [*ask.asked.fields, *ask.asked.needed, *([ask.guard] if ask.guard is not None else [])]
                direct = {n for e in parts for n in _read(e, names)}
                inner = {n for other in self.asks if other.answer in direct for n in of(other)}
                needs[ask.answer] = frozenset(direct | inner) - {ask.answer}
            return needs[ask.answer]

        for ask in self.asks:
            of(ask)
        return needs

    # what a call is, where it stands, and who is asked

    def _mark(self, holder: exp.Expr) -> None:
        """A column in place of each call, inner calls first; equal calls have the same."""
        for node in calls_in(holder):
            asked = self._read(node)
            known = next((a for a in self.asks if a.asked.key == asked.key), None)
            if known is None or not self.platform.config.optimizer_reuse:
                request = self.platform.request(asked.typed.call.to_json())
                known = Ask(asked, self.names.fresh("a"), request=request)
                self.asks.append(known)
            node.replace(exp.column(known.answer))

    def _read(self, node: exp.Expr) -> Asked:
        def columns_of(star: exp.Expr) -> list[exp.Expr]:
            base = exp.Select(expressions=[star.copy()]).from_(self.rows.base().subquery(self.rows.alias))
            table = star.args.get("table")
            prefix = table.name if table is not None else None
            return [exp.column(exp.to_identifier(n, quoted=True), table=prefix) for n, _ in self._asked_of(base, node)]

        try:
            return read_call(node, columns_of)
        except CallError as error:
            raise CallError(f"{error} (in {text_of(node)})") from error

    def _guard(self, holders: Sequence[exp.Expr]) -> None:
        """Later calls first: what an inner call is for is known once its outer ones are."""
        for ask in reversed(self.asks):
            found = [_guards(ask.answer, holder.expressions[0], None) for holder in holders]
            later = self.asks[self.asks.index(ask) + 1 :]
            found += [_guards(ask.answer, e, a.guard) for a in later for e in (*a.asked.fields, *a.asked.needed)]
            ask.guard = either([guard for some in found for guard in some])

    def _unmark(self, holders: Sequence[exp.Expr]) -> None:
        """The values in place of the columns that stood for calls."""
        known = {ask.answer: ask.asked for ask in self.asks}
        for holder in holders:
            _fill(holder, known)
        for ask in self.asks:
            fields, needed = (tuple(_filled(e, known) for e in some) for some in (ask.asked.fields, ask.asked.needed))
            ask.asked = Asked(ask.asked.typed, fields, needed)
            ask.guard = _filled(ask.guard, known) if ask.guard is not None else None

    def _describe(self) -> None:
        """SQL types of all fields, in one question."""
        fields = [e for ask in self.asks for e in ask.asked.fields]
        if not fields:
            return
        base = self.rows.base()
        for ask in self.asks:
            nothing = exp.Cast(this=exp.null(), to=exp.DataType.build(ANSWER_TYPE, dialect="spark"))
            base.append("expressions", exp.alias_(nothing, ask.answer))
        columns = [exp.alias_(e.copy(), f"f{i}") for i, e in enumerate(fields)]
        asked = exp.Select(expressions=columns).from_(base.subquery(self.rows.alias))
        types = iter([kind for _, kind in self._asked_of(asked, None)])
        for ask in self.asks:
            ask.types = [next(types) for _ in ask.asked.fields]

    def _asked_of(self, query: exp.Select, node: exp.Expr | None) -> list[tuple[str, str]]:
        if self.with_:
            query.set("with_", exp.With(expressions=[cte.copy() for cte in self.with_]))
        try:
            return self.platform.describe(text_of(query))
        except CallError:
            raise
        except Exception as error:  # each Spark has its own for a query that is wrong
            calls = text_of(node) if node is not None else ", ".join(str(ask.asked.typed.call) for ask in self.asks)
            raise CallError(
                f"the fields of {calls} cannot be found in the FROM beside them ({_first_line(error)}); a call reads "
                f"columns of its own SELECT's tables, not of an outer query, and no other column of the SELECT list"
            ) from error

    def _without_helpers(self, e: exp.Expr, levels: Levels) -> exp.Expr:
        """`*` without the columns that were added."""
        helpers = [*self.rows.helpers, *levels.added]
        if isinstance(e, exp.Star) and helpers:
            e.set("except_", [*(e.args.get("except_") or []), *map(exp.to_identifier, helpers)])
        elif isinstance(e, exp.Column) and isinstance(e.this, exp.Star) and e.table == self.rows.alias and helpers:
            return exp.Column(this=exp.Star(except_=[exp.to_identifier(h) for h in helpers]), table=e.args["table"])
        return e

    def _conditions(self) -> tuple[list[exp.Expr], list[exp.Expr], list[exp.Expr]]:
        """(without calls, with calls, without calls but about an outer query's columns)."""
        where = self.select.args.get("where")
        joined = self._calls_of_joins()
        conjuncts = [*(where.this.flatten() if isinstance(where.this, exp.And) else [where.this])] if where else []
        conjuncts = [e.unnest() if isinstance(e, exp.Paren) and calls_in(e) else e for e in conjuncts]
        asking = [*joined, *(e for e in conjuncts if calls_in(e))]
        plain = [e for e in conjuncts if not calls_in(e)]
        own = {s.lower() for s in Rows(self.select, self.names).sources}
        late = [e for e in plain if _qualifiers(e) - own & self.outer and _qualifiers(e) & (self.outer - own)]
        return [e for e in plain if not any(e is other for other in late)], asking, late

    def _calls_of_joins(self) -> list[exp.Expr]:
        """Conditions with calls of an inner join, which are as good above it; they leave it."""
        out: list[exp.Expr] = []
        for join in self.select.args.get("joins") or []:
            on = join.args.get("on")
            if on is None or not calls_in(on):
                continue
            if join.side or join.kind.upper() not in ("", "INNER", "CROSS"):
                raise CallError(
                    f"{text_of(calls_in(on)[0])} is in the condition of a {join.side or join.kind} JOIN; compute it in "
                    "a subquery and join that, or write an INNER JOIN"
                )
            parts = list(on.flatten()) if isinstance(on, exp.And) else [on]
            out += [e for e in parts if calls_in(e)]
            left = [e.copy() for e in parts if not calls_in(e)]
            join.set("on", exp.and_(*left) if left else None)
            if not left:
                join.set("kind", "CROSS")
        return out

    def _check(self) -> None:
        """Places where no call can be."""
        for lateral in self.select.args.get("laterals") or []:
            for call in calls_in(lateral):
                raise CallError(
                    f"{text_of(call)} is in a LATERAL VIEW; compute it in a subquery and explode its column"
                )
        for node in own_nodes(self.select):
            if isinstance(node, exp.Lambda) and (calls := calls_in(node)):
                raise CallError(
                    f"{text_of(calls[0])} is inside a lambda function, where no call can be evaluated; explode the "
                    "array and call it on each row"
                )


def _guards(answer: str, root: exp.Expr, outer: exp.Expr | None) -> list[exp.Expr | None]:
    found = [c for c in own_nodes(root) if isinstance(c, exp.Column) and c.name == answer and not c.table]
    own = [guard_of(c, root) for c in found]
    if outer is None:
        return own
    return [outer if guard is None else exp.and_(outer.copy(), guard) for guard in own]


def _fill(holder: exp.Expr, known: dict[str, Asked]) -> None:
    for column in [n for n in own_nodes(holder) if isinstance(n, exp.Column) and n.name in known and not n.table]:
        column.replace(known[column.name].value(column.name))


def _filled(e: exp.Expr, known: dict[str, Asked]) -> exp.Expr:
    holder = exp.Tuple(expressions=[e.copy()])
    _fill(holder, known)
    return holder.expressions[0]


def _read(e: exp.Expr, names: object) -> list[str]:
    return [c.name for c in own_nodes(e) if isinstance(c, exp.Column) and c.name in names]  # type: ignore[operator]


def _qualifiers(e: exp.Expr) -> frozenset[str]:
    return frozenset(part.name.lower() for c in e.find_all(exp.Column) for part in c.parts[:-1])


def _named(before: exp.Expr, after: exp.Expr) -> exp.Expr:
    """A column of the SELECT list keeps the name that it would have had."""
    if isinstance(before, exp.Alias | exp.Star) or (
        isinstance(before, exp.Column) and isinstance(before.this, exp.Star)
    ):
        return after
    if isinstance(before, exp.Column | exp.Dot) and not calls_in(before):
        return after if after.name == before.name else exp.alias_(after, before.name, quoted=True)
    return exp.alias_(after, _shown(before), quoted=True) if calls_in(before) else after


def _shown(e: exp.Expr) -> str:
    if is_call(e):
        return str(read_call(e, lambda star: [exp.column(text_of(star))]).typed.call)
    return text_of(e)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
