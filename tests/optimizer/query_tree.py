"""The queries of the differential test as trees; `str` of a tree is its SQL.

query_generator.py makes them, minimum_calls.py evaluates them in Python, Spark runs their text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

__all__ = ["Expr", "Node", "Query", "Source", "children", "conjuncts", "nodes", "schema"]


@dataclass(frozen=True)
class Col:
    table: str
    name: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True)
class Lit:
    value: int | str | None

    def __str__(self) -> str:
        return "NULL" if self.value is None else repr(self.value)


@dataclass(frozen=True)
class Call:
    prompt: str
    fields: tuple[Expr, ...]

    def __str__(self) -> str:
        return f"llm({', '.join([repr(self.prompt), *map(str, self.fields)])})"


@dataclass(frozen=True)
class Op:
    """A comparison, AND or OR."""

    symbol: str
    left: Expr
    right: Expr

    def __str__(self) -> str:
        return f"({self.left} {self.symbol} {self.right})"


@dataclass(frozen=True)
class Not:
    value: Expr

    def __str__(self) -> str:
        return f"(NOT {self.value})"


@dataclass(frozen=True)
class IsNull:
    value: Expr

    def __str__(self) -> str:
        return f"({self.value} IS NULL)"


@dataclass(frozen=True)
class Case:
    when: Expr
    then: Expr
    other: Expr

    def __str__(self) -> str:
        return f"CASE WHEN {self.when} THEN {self.then} ELSE {self.other} END"


@dataclass(frozen=True)
class Coalesce:
    values: tuple[Expr, ...]

    def __str__(self) -> str:
        return f"coalesce({', '.join(map(str, self.values))})"


@dataclass(frozen=True)
class Agg:
    """count, min or max; count without a value is count(*)."""

    name: str
    value: Expr | None = None
    distinct: bool = False

    def __str__(self) -> str:
        return f"{self.name}({'DISTINCT ' * self.distinct}{'*' if self.value is None else self.value})"


@dataclass(frozen=True)
class RowNumber:
    partition: Expr
    order: Expr

    def __str__(self) -> str:
        return f"row_number() OVER (PARTITION BY {self.partition} ORDER BY {self.order})"


@dataclass(frozen=True)
class InQuery:
    value: Expr
    query: Query

    def __str__(self) -> str:
        return f"({self.value} IN ({self.query}))"


@dataclass(frozen=True)
class Exists:
    query: Query

    def __str__(self) -> str:
        return f"EXISTS ({self.query})"


@dataclass(frozen=True)
class Scalar:
    query: Query

    def __str__(self) -> str:
        return f"({self.query})"


@dataclass(frozen=True)
class Table:
    name: str
    alias: str

    def __str__(self) -> str:
        return f"{self.name} {self.alias}"


@dataclass(frozen=True)
class Sub:
    query: Query
    alias: str

    def __str__(self) -> str:
        return f"({self.query}) {self.alias}"


@dataclass(frozen=True)
class Join:
    """INNER, LEFT, RIGHT, FULL, LEFT SEMI or LEFT ANTI."""

    kind: str
    left: Source
    right: Source
    on: Expr

    def __str__(self) -> str:
        right = f"({self.right})" if isinstance(self.right, Join) else self.right
        return f"{self.left} {self.kind} JOIN {right} ON {self.on}"


@dataclass(frozen=True)
class Select:
    """`group`: None for no aggregation, () for one row. `order`: sort keys, descending where True."""

    items: tuple[tuple[Expr, str], ...]
    source: Source
    where: Expr | None = None
    group: tuple[Expr, ...] | None = None
    having: Expr | None = None
    distinct: bool = False
    order: tuple[tuple[Expr, bool], ...] = ()
    limit: int | None = None

    def __str__(self) -> str:
        items = ", ".join(f"{e} AS {name}" for e, name in self.items)
        parts = [f"SELECT {'DISTINCT ' * self.distinct}{items} FROM {self.source}"]
        parts += [f"WHERE {self.where}"] if self.where else []
        parts += [f"GROUP BY {', '.join(map(str, self.group))}"] if self.group else []
        parts += [f"HAVING {self.having}"] if self.having else []
        keys = ", ".join(f"{e}{' DESC' * descending}" for e, descending in self.order)
        parts += [f"ORDER BY {keys}"] if keys else []
        parts += [f"LIMIT {self.limit}"] if self.limit is not None else []
        return " ".join(parts)


@dataclass(frozen=True)
class Union:
    left: Query
    right: Query

    def __str__(self) -> str:
        return f"({self.left}) UNION ALL ({self.right})"


@dataclass(frozen=True)
class With:
    """A CTE; `cached`: a cached DataFrame under that name instead, and only the body is SQL."""

    name: str
    query: Query
    body: Query
    cached: bool = False

    def __str__(self) -> str:
        return str(self.body) if self.cached else f"WITH {self.name} AS ({self.query}) {self.body}"


Expr = Col | Lit | Call | Op | Not | IsNull | Case | Coalesce | Agg | RowNumber | InQuery | Exists | Scalar
Source = Table | Sub | Join
Query = Select | Union | With
Node = Expr | Source | Query


def children(node: Node) -> Iterator[Node]:
    """The trees directly below, whatever their kind."""

    def unpack(value: object) -> Iterator[Node]:
        if isinstance(value, tuple):
            for v in value:
                yield from unpack(v)
        elif isinstance(value, Node):
            yield value

    for f in fields(node):
        yield from unpack(getattr(node, f.name))


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from nodes(child)


def conjuncts(e: Expr | None) -> list[Expr]:
    if e is None:
        return []
    return conjuncts(e.left) + conjuncts(e.right) if isinstance(e, Op) and e.symbol == "AND" else [e]


def schema(query: Query) -> list[str]:
    """The names of a query's columns."""
    if isinstance(query, Select):
        return [name for _, name in query.items]
    return schema(query.left if isinstance(query, Union) else query.body)
