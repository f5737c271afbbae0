"""The rows that a SELECT works on, as one derived table that keeps their names: further columns can be added to it."""

from __future__ import annotations

from itertools import count

from sqlglot import exp

from sparkllm.optimizer.rewrite.asked import called, lower_names, own_nodes, text_of

__all__ = ["ANSWER", "Names", "Rows"]

ANSWER = "__llm_a"  # what the names of columns with answers begin with
_ROWS = "__llm_rows"
_FROM = ("from_", "joins", "laterals", "hint")


class Names:
    """Fresh names of columns, different in the whole statement."""

    def __init__(self) -> None:
        self._count = count()

    def fresh(self, kind: str) -> str:
        return f"__llm_{kind}{next(self._count)}"


class Rows:
    """FROM, JOINs and LATERAL VIEWs of a SELECT, and what is put on top of them.

    `SELECT *, a.x AS __llm_c0 FROM t AS a JOIN u AS b ON ...` is one table: `lift` makes `__llm_c0` of `a.x`. With one
    source the table has its alias, and every name stays as it is.
    """

    def __init__(self, select: exp.Select, names: Names) -> None:
        self._names = names
        self._parts = {key: select.args.get(key) for key in _FROM}
        self.sources = _sources(select)
        self.alias = self.sources[0] if len(self.sources) == 1 and self.sources[0] else _ROWS
        self._lifted: dict[str, tuple[str, exp.Expr]] = {}
        self.helpers: list[str] = []
        self.table: exp.Subquery | None = None
        self.where: list[exp.Expr] = []
        self.tail: dict[str, exp.Expr] = {}

    def base(self) -> exp.Select:
        """`SELECT * FROM ... WHERE <what needs no answer>`; the columns that are lifted stand behind the star."""
        select = exp.Select(expressions=[exp.Star()])
        for key, value in self._parts.items():
            if value:
                select.set(key, [v.copy() for v in value] if isinstance(value, list) else value.copy())
        if not self._parts["from_"]:
            select.set("expressions", [exp.alias_(exp.Literal.number(1), self._one())])
        for name, column in self._lifted.values():
            select.append("expressions", exp.alias_(column.copy(), name))
        if self.where:
            select.where(*(e.copy() for e in self.where), copy=False)
        for key, value in self.tail.items():
            select.set(key, value.copy())
        return select

    def _one(self) -> str:
        if "__llm_one" not in self.helpers:
            self.helpers.append("__llm_one")
        return "__llm_one"

    def lift(self, e: exp.Expr) -> exp.Expr:
        """`e` as it reads over the table; a copy."""
        copy = e.copy()
        inside = [c for query in copy.find_all(exp.Query) for c in query.find_all(exp.Column) if self._reads(query, c)]
        for column in [*(node for node in own_nodes(copy) if isinstance(node, exp.Column)), *inside]:
            lifted = self._column(column)
            if column is copy:
                return lifted
            column.replace(lifted)
        return copy

    def _reads(self, query: exp.Expr, column: exp.Column) -> bool:
        """A column of a subquery that is one of these sources': nothing in between has its name."""
        node = column.parent
        while node is not None and node is not query.parent:
            if isinstance(node, exp.Select) and {p.name.lower() for p in column.parts[:-1]} & {
                name.lower() for name in _sources(node)
            }:
                return False
            node = node.parent
        return len(self.sources) > 1 and len(column.parts) > 1

    def _column(self, column: exp.Column) -> exp.Expr:
        parts = list(column.parts)
        at = next((i for i, part in enumerate(parts[:-1]) if self._is_source(part.name)), None)
        if at is None or (isinstance(parts[-1], exp.Star) and at != len(parts) - 2):
            return column.copy()
        star = isinstance(parts[-1], exp.Star)
        if len(self.sources) == 1 and self.sources[0]:
            return _dotted([exp.to_identifier(self.alias), *parts[at + 1 :]])
        first = column if star else _dotted(parts[: at + 2])
        lifted = _dotted([exp.to_identifier(self._name_of(first)), *parts[at + 2 :]], star)
        return lifted if star else called(lifted, column.name)

    def _name_of(self, column: exp.Expr) -> str:
        key = text_of(lower_names(column))
        if key not in self._lifted:
            star = isinstance(column, exp.Column) and isinstance(column.this, exp.Star)
            value = exp.Anonymous(this="struct", expressions=[column.copy()]) if star else column
            self._lifted[key] = (self._names.fresh("c"), value)
            self.helpers.append(self._lifted[key][0])
        return self._lifted[key][0]

    def _is_source(self, name: str) -> bool:
        return name.lower() in {source.lower() for source in self.sources if source}


def _dotted(parts: list[exp.Expr], star: bool = False) -> exp.Expr:
    """`a.b.c` as the parser has it."""
    if star:
        return exp.Column(this=exp.Star(), table=parts[0].copy())
    named = [part.copy() for part in parts]
    column = exp.Column(**dict(zip(("this", "table", "db", "catalog"), reversed(named[:4]), strict=False)))
    for part in named[4:]:
        column = exp.Dot(this=column, expression=part)  # type: ignore[assignment]
    return column


def _sources(select: exp.Select) -> list[str]:
    """Names by which its columns can be called; empty where a source has none."""
    from_ = select.args.get("from_")
    joined = [join.this for join in select.args.get("joins") or []]
    tables = [table for one in ([from_.this] if from_ is not None else []) + joined for table in _tables(one)]
    return [table.alias_or_name for table in (*tables, *(select.args.get("laterals") or []))]


def _tables(source: exp.Expr) -> list[exp.Expr]:
    """`(a JOIN b ON ...)` is two."""
    inside = isinstance(source, exp.Subquery) and not source.alias and isinstance(source.this, exp.Table | exp.Subquery)
    own = _tables(source.this) if inside else [source]
    return [*own, *(table for join in source.args.get("joins") or [] for table in _tables(join.this))]
