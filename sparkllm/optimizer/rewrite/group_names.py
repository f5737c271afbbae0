"""Names of GROUP BY, HAVING and prompts -> what they stand for, so that the groups can be taken apart (groups.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.aggregates import aggregates, is_aggregate
from sparkllm.optimizer.rewrite.arguments import read_call
from sparkllm.optimizer.rewrite.asked import called, lower_names, own_nodes, text_of

__all__ = ["SETS", "Keys", "name_placeholders", "resolve_names"]

SETS = (exp.Rollup, exp.Cube, exp.GroupingSets)


def resolve_names(select: exp.Select, columns: Callable[[], frozenset[str]], sources: Sequence[str]) -> None:
    """`GROUP BY 1`, `GROUP BY c`, `GROUP BY ALL` and `HAVING n > 1` over columns of the SELECT list.

    Args:
        columns: names of the tables' columns, which come before those of the SELECT list.
        sources: names of the tables.

    Raises:
        CallError: GROUP BY ALL or a number beside a star.
    """
    group = select.args.get("group")
    if group is not None and group.args.get("all") is True:
        _spell_out(select, group)
    if select.args.get("group"):
        _resolve_keys(select, select.args["group"], columns)
    if select.args.get("having"):
        _resolve_having(select, Keys(select, sources), columns)


class Keys:
    """What a SELECT is grouped by, those of ROLLUP, CUBE and GROUPING SETS too."""

    def __init__(self, select: exp.Select, sources: Sequence[str]) -> None:
        group = select.args.get("group")
        flat = [
            i for e in (group.expressions if group else ()) for i in (e.expressions if isinstance(e, SETS) else [e])
        ]
        self._sources = {name.lower() for name in sources if name}
        self._keys = [
            self._bare(key) for e in flat for key in (e.expressions if isinstance(e, exp.Tuple) else [e.unnest()])
        ]

    def has(self, e: exp.Expr) -> bool:
        """It is one of them, whatever the case of its names, and with or without the names of tables."""
        kind, text, tables = self._bare(e)
        return any(
            (kind, text) == (other_kind, other)
            and all(a == b or not a or not b for a, b in zip(tables, others, strict=True))
            for other_kind, other, others in self._keys
        )

    def _bare(self, e: exp.Expr) -> tuple[type[exp.Expr], str, list[str]]:
        """(its class, its text without the names of tables, those names)."""
        holder, tables = exp.Tuple(expressions=[lower_names(e)]), list[str]()
        for column in list(holder.find_all(exp.Column)):
            parts = column.parts
            at = next((i for i, part in enumerate(parts[:-1]) if part.name in self._sources), None)
            tables.append(parts[at].name if at is not None else "")
            if at is not None and not isinstance(column.this, exp.Star):
                left = [part.copy() for part in reversed(parts[at + 1 :])]
                column.replace(exp.Column(**dict(zip(("this", "table", "db"), left, strict=False))))
        for name in holder.find_all(exp.Identifier):
            name.set("quoted", False)
        return type(e), text_of(holder), tables


def name_placeholders(call: exp.Expr, wanted: Callable[[exp.Expr], bool]) -> None:
    """`llm('Is {title} good?')` -> `llm('Is {title} good?', title)`, where that column is wanted."""
    asked = read_call(call, lambda star: [exp.column(text_of(star))])
    implied = len(asked.fields) - asked.typed.implied
    for field, column in zip(asked.typed.call.fields[implied:], asked.fields[implied:], strict=True):
        if wanted(column):
            at = next((i for i, e in enumerate(call.expressions) if isinstance(e, exp.Kwarg)), len(call.expressions))
            call.set("expressions", [*call.expressions[:at], called(column, field), *call.expressions[at:]])


def _spell_out(select: exp.Select, group: exp.Group) -> None:
    """GROUP BY ALL: every column of the SELECT list that is over no aggregate."""
    if any(e.is_star for e in select.expressions):
        raise CallError("GROUP BY ALL beside a star cannot be rewritten; name the columns")
    keys = [e.unalias().copy() for e in select.expressions if next(aggregates(e), None) is None]
    group.set("all", None)
    group.set("expressions", [key for key in keys if not isinstance(key, exp.Literal)])
    if not group.expressions:
        select.set("group", None)


def _resolve_keys(select: exp.Select, group: exp.Group, columns: Callable[[], frozenset[str]]) -> None:
    for key in list(group.expressions):
        if isinstance(key, exp.Literal) and not key.is_string and int(key.this) <= len(select.expressions):
            if any(e.is_star for e in select.expressions):
                raise CallError(f"GROUP BY {key.this} beside a star cannot be rewritten; name the column")
            key.replace(select.expressions[int(key.this) - 1].unalias().copy())
    named = {e.alias.lower(): e.this for e in select.expressions if isinstance(e, exp.Alias)}
    read = [c for c in own_nodes(group) if isinstance(c, exp.Column) and len(c.parts) == 1 and c.name.lower() in named]
    there = columns() if read else frozenset()
    for column in read:
        if column.name.lower() not in there:
            value = named[column.name.lower()].copy()
            column.replace(value if column.parent is group else _operand(value))


def _resolve_having(select: exp.Select, keys: Keys, columns: Callable[[], frozenset[str]]) -> None:
    """A key comes before the SELECT list there, and that before the tables, but for what an aggregate reads."""
    named = {e.alias.lower(): e.this for e in select.expressions if isinstance(e, exp.Alias)}
    read = [c for c in own_nodes(select.args["having"]) if isinstance(c, exp.Column) and len(c.parts) == 1]
    known = [c for c in read if c.name.lower() in named and not keys.has(c)]
    there = columns() if any(_in_aggregate(c) for c in known) else frozenset()
    for column in known:
        if not (_in_aggregate(column) and column.name.lower() in there):
            column.replace(_operand(named[column.name.lower()].copy()))


def _operand(e: exp.Expr) -> exp.Expr:
    return exp.paren(e, copy=False) if isinstance(e, exp.Binary | exp.Unary) else e


def _in_aggregate(node: exp.Expr) -> bool:
    while node.parent is not None:
        node = node.parent
        if is_aggregate(node):
            return True
    return False
