"""What the rewriting asks a session about a SELECT: names and types of columns, by queries that do not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlglot import exp

from sparkllm.config import LLMConfig
from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.asked import text_of
from sparkllm.optimizer.rewrite.levels import ANSWER_TYPE, Ask
from sparkllm.optimizer.rewrite.rows import Rows
from sparkllm.optimizer.spark_dialect import SparkSQL

__all__ = ["Platform", "Questions"]


class Platform(Protocol):
    """A session, as the rewriting knows it."""

    config: LLMConfig

    def describe(self, query: str) -> list[tuple[str, str]]:
        """(name, SQL type in small letters) of each column of a query, which is not run."""

    def has_function(self, name: str) -> bool:
        """Whether SQL knows a function of this name already, which is not ours."""

    def request(self, call: str) -> str:
        """What a worker is told of a call, as JSON; both."""


class Questions:
    """Those about one SELECT."""

    def __init__(self, platform: Platform, rows: Rows, with_: Sequence[exp.Expr]) -> None:
        """`with_`: the CTEs that the SELECT can read."""
        self._platform, self._rows, self._with = platform, rows, with_

    def columns_of(self, star: exp.Expr) -> list[exp.Expr]:
        """The columns of `*` or `t.*`."""
        table = star.args.get("table")
        prefix = table.name if table is not None else None
        return [exp.column(exp.to_identifier(n, quoted=True), table=prefix) for n, _ in self._of([star.copy()], "*")]

    def names(self) -> frozenset[str]:
        """All columns, in small letters."""
        return frozenset(name.lower() for name, _ in self._of([exp.Star()], "*"))

    def find_types(self, asks: Sequence[Ask]) -> None:
        """Fill in the SQL types of all fields, by one question."""
        fields = [e for ask in asks for e in ask.asked.fields]
        if not fields:
            return
        nothing = exp.Cast(this=exp.null(), to=exp.DataType.build(ANSWER_TYPE, dialect=SparkSQL))
        answers = [exp.alias_(nothing.copy(), ask.answer) for ask in asks]
        columns = [exp.alias_(e.copy(), f"f{i}") for i, e in enumerate(fields)]
        types = iter(self._of(columns, ", ".join(str(ask.asked.typed.call) for ask in asks), answers))
        for ask in asks:
            ask.types = [next(types)[1] for _ in ask.asked.fields]

    def is_outside(self, e: exp.Expr, outer: frozenset[str]) -> bool:
        """A condition of the SELECT reads columns of an outer query, which has these sources."""
        own = {name.lower() for name in self._rows.sources}
        read = {part.name.lower() for c in e.find_all(exp.Column) for part in c.parts[:-1]}
        if read & (outer - own):
            return True
        base = self._rows.base()
        base.set("expressions", [exp.alias_(e.copy(), "c")])
        try:
            self._ask(base, "")
        except CallError:
            return True
        return False

    def _of(self, columns: list[exp.Expr], calls: str, more: Sequence[exp.Expr] = ()) -> list[tuple[str, str]]:
        base = self._rows.base()
        for e in more:
            base.append("expressions", e)
        return self._ask(exp.Select(expressions=columns).from_(base.subquery(self._rows.alias)), calls)

    def _ask(self, query: exp.Select, calls: str) -> list[tuple[str, str]]:
        if self._with:
            query.set("with_", exp.With(expressions=[cte.copy() for cte in self._with]))
        try:
            return self._platform.describe(text_of(query))
        except CallError:
            raise
        except Exception as error:  # each Spark has its own for a query that is wrong
            said = str(error).strip().partition("\n")[0]
            raise CallError(
                f"the fields of {calls} cannot be found in the FROM beside them ({said}); a call reads columns of its "
                "own SELECT's tables, not of an outer query"
            ) from error
