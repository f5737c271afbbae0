"""One SELECT with calls -> the same SELECT over derived tables in which each call is a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from sparkllm.optimizer.rewrite import cascade, push_limits
from sparkllm.optimizer.rewrite.arguments import read_call
from sparkllm.optimizer.rewrite.asked import Asked, called, calls_in, conjuncts
from sparkllm.optimizer.rewrite.guards import either
from sparkllm.optimizer.rewrite.joins import calls_of_joins
from sparkllm.optimizer.rewrite.levels import Ask, Levels
from sparkllm.optimizer.rewrite.marks import answers_in, fill, filled, guards_of, named
from sparkllm.optimizer.rewrite.questions import Platform, Questions
from sparkllm.optimizer.rewrite.rows import Names, Rows

__all__ = ["SelectWork"]

_KEPT = ("group", "having", "order", "limit", "offset", "distinct", "sort", "cluster", "distribute", "windows", "with_")


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
        rows = self.rows = Rows(self.select, self.names)
        self.questions = Questions(self.platform, rows, self.with_)
        cheap, asking, late = self._conditions()
        rows.where = cheap
        self._inline_names()
        columns = [named(e, rows.lift(e), self.questions.columns_of) for e in self.select.expressions]
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
        self.questions.find_types(self.asks)
        pushed = push_limits.pushable(self.select, asking) and config.optimizer_push_limits
        if pushed:
            self.rows.tail = push_limits.tail(self.select)
            kept.pop("offset", None)
        limited = pushed or push_limits.stops_early(self.select)
        levels = Levels(self.rows, self.names, config.optimizer_co_locate and not limited, config.tasks)
        self._place(levels, asking)
        table, left = levels.finish("order" in kept and (pushed or "limit" not in kept), few=pushed)
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
            for name in [n for n in answers if n in answers_in(condition, answers)]:
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
                direct = {n for e in parts for n in answers_in(e, names)}
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
                call = asked.typed.call  # groups have been brought together, each as one long row
                moves = (call.order or self.platform.config.order) != "off" and not call.group
                known = Ask(asked, self.names.fresh("a"), request=request, moves=moves)
                self.asks.append(known)
            node.replace(called(exp.column(known.answer), ""))

    def _read(self, node: exp.Expr) -> Asked:
        asked = read_call(node, self.questions.columns_of)
        given = len(asked.fields) - asked.typed.implied
        implied = exp.Tuple(expressions=[e.copy() for e in asked.fields[given:]])
        self._inline(list(implied.find_all(exp.Column)))
        return replace(asked, fields=(*asked.fields[:given], *self.rows.lift(implied).expressions))

    def _guard(self, holders: Sequence[exp.Expr]) -> None:
        """Later calls first: what an inner call is for is known once its outer ones are."""
        for ask in reversed(self.asks):
            found = [guards_of(ask.answer, holder.expressions[0], None) for holder in holders]
            later = self.asks[self.asks.index(ask) + 1 :]
            found += [guards_of(ask.answer, e, a.guard) for a in later for e in (*a.asked.fields, *a.asked.needed)]
            ask.guard = either([guard for some in found for guard in some])

    def _unmark(self, holders: Sequence[exp.Expr]) -> None:
        """The values in place of the columns that stood for calls."""
        known = {ask.answer: ask.asked for ask in self.asks}
        for holder in holders:
            fill(holder, known)
        for ask in self.asks:
            fields, needed = (tuple(filled(e, known) for e in some) for some in (ask.asked.fields, ask.asked.needed))
            ask.asked = Asked(ask.asked.typed, fields, needed)
            ask.guard = filled(ask.guard, known) if ask.guard is not None else None

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
        joined = calls_of_joins(self.select)
        every = conjuncts(where.this) if where is not None else []
        asking = [*joined, *(e for e in every if calls_in(e))]
        plain = [e for e in every if not calls_in(e)]
        late = [e for e in plain if self.questions.is_outside(e, self.outer)] if self.outer else []
        return [e for e in plain if not any(e is other for other in late)], asking, late

    def _inline_names(self) -> None:
        """`SELECT upper(a) AS b, llm('x', b)`: a call may read another column of the SELECT list by its name."""
        self._inline([c for e in self.select.expressions for call in calls_in(e) for c in call.find_all(exp.Column)])

    def _inline(self, read: list[exp.Column]) -> None:
        named = {e.alias.lower(): e.this for e in self.select.expressions if isinstance(e, exp.Alias)}
        known = [c for c in read if len(c.parts) == 1 and c.name.lower() in named]
        there = self.questions.names() if known else frozenset()
        for column in known:
            if column.name.lower() not in there:
                column.replace(called(exp.paren(named[column.name.lower()].copy()), column.name))
