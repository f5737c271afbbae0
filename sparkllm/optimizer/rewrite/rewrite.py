"""rewrite(): a statement with calls -> plain Spark SQL over one function, in the shape of the Catalyst rules.

    SELECT id, llm('classify', review) AS c FROM t WHERE llm('classify', review) = 'negative' AND id > 3
      ->
    SELECT id, a.value AS c
    FROM (SELECT *, __llm_ask('<request>', named_struct('f0', review), '') AS a
          FROM (SELECT /*+ REPARTITION_BY_RANGE(review) */ * FROM (SELECT * FROM t WHERE id > 3)))
    WHERE a.value = 'negative'

Each call is a column of a derived table, so it is evaluated once; the function is registered as not deterministic, so
Spark neither copies the column nor moves a condition past it. What Catalyst's rules know of statistics, types and
exchanges is not known here: rows are brought together by the fields as they are declared, and joins come before calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sparkllm.errors import CallError
from sparkllm.optimizer.rewrite.asked import calls_in, is_call, leave, name_of, remember_text, text_of, written
from sparkllm.optimizer.rewrite.collect import collect_groups
from sparkllm.optimizer.rewrite.group_names import resolve_names
from sparkllm.optimizer.rewrite.groups import split_groups, split_windows
from sparkllm.optimizer.rewrite.inline import inline_ctes
from sparkllm.optimizer.rewrite.places import check_places
from sparkllm.optimizer.rewrite.push_filters import push_filters, push_limit
from sparkllm.optimizer.rewrite.qualify import split_qualify
from sparkllm.optimizer.rewrite.questions import Platform, Questions
from sparkllm.optimizer.rewrite.reuse import reuse_answers
from sparkllm.optimizer.rewrite.rows import Names, Rows
from sparkllm.optimizer.rewrite.select import SelectWork
from sparkllm.optimizer.spark_dialect import dialect_for

__all__ = ["rewrite"]


def rewrite(query: str, platform: Platform) -> str:
    """The statement in plain Spark SQL; as it is where it has no calls.

    Args:
        query: one statement: a query, or INSERT, CREATE TABLE ... AS and the like over one.
        platform: the session.

    Raises:
        CallError: a call that cannot be rewritten where it stands, or a text that sqlglot cannot read.
    """
    try:
        dialect = dialect_for(query, platform.describe)
        trees = [tree for tree in sqlglot.parse(query, read=dialect) if tree is not None]
    except SqlglotError as error:
        raise CallError(f"sparkllm.sql cannot read the statement: {error}") from error
    if len(trees) != 1:
        raise CallError(f"sparkllm.sql takes one statement, got {len(trees)}")
    tree = trees[0]
    if isinstance(tree, exp.Command):
        return _as_it_is(query)
    calls = _calls_everywhere(tree, platform)
    if not calls:
        return query
    for call in calls:
        remember_text(call)
    _Work(platform).statement(tree)
    return text_of(tree)


def _calls_everywhere(tree: exp.Expr, platform: Platform) -> list[exp.Expr]:
    """All calls but those that the platform has itself, as Databricks has `ai_translate`."""
    calls = [node for node in tree.walk() if is_call(node)]
    others = {name for name in map(name_of, calls) if name.startswith("ai_")}
    there = {name for name in others if platform.has_function(name)}
    for call in calls:
        if name_of(call) in there:
            leave(call)
    return [call for call in calls if name_of(call) not in there]


def _as_it_is(query: str) -> str:
    if "llm" in query.lower():
        raise CallError(
            f"sparkllm.sql cannot rewrite calls in {query.split()[0].upper()} ...; it takes queries, INSERT and CREATE "
            "TABLE ... AS over queries"
        )
    return query


class _Work:
    """One statement."""

    def __init__(self, platform: Platform) -> None:
        self._platform, self._names = platform, Names()

    def statement(self, tree: exp.Expr) -> None:
        collect_groups(tree)
        check_places(tree)
        inline_ctes(tree)
        for select in list(tree.find_all(exp.Select)):  # outer ones first
            self._push(select)
        for select in list(_inner_first(tree)):
            self._select(select, *_around(select))
        for node in tree.walk():
            if is_call(node):
                raise CallError(
                    f"sparkllm.sql cannot rewrite {written(node)} where it is; compute it in a SELECT below"
                )

    def _push(self, select: exp.Select) -> None:
        """What a SELECT decides goes into the one below it."""
        config = self._platform.config
        if config.optimizer_reuse:
            reuse_answers(select)
        if config.optimizer_push_filters:
            push_filters(select, self._names)
        if config.optimizer_push_limits:
            push_limit(select)

    def _select(self, select: exp.Select, outer: frozenset[str], with_: Sequence[exp.Expr]) -> exp.Select:
        """`select`, or what now stands in its place."""
        own = _calls_of(select)
        if not own:
            return select
        split = self._split(select, with_)
        if split is select:
            done = SelectWork(select, self._platform, self._names, outer, with_).done()
        else:
            self._select(split.args["from_"].this.this, outer, with_)
            done = SelectWork(split, self._platform, self._names, outer, with_).done() if _calls_of(split) else split
        if select.parent is None:
            return _become(select, done)
        select.replace(done)
        return done

    def _split(self, select: exp.Select, with_: Sequence[exp.Expr]) -> exp.Select:
        """`select`, or one over another that has its windows or its groups."""
        rows = Rows(select, self._names)
        columns = Questions(self._platform, rows, with_).names
        if select.args.get("qualify"):
            split = split_qualify(select, self._names, columns)
            self._push(split)
            return split
        resolve_names(select, columns, rows.sources)
        return split_windows(split_groups(select, self._names, rows.sources), self._names)


def _calls_of(select: exp.Select) -> list[exp.Expr]:
    """Those of the SELECT itself, whatever its FROM holds."""
    parts = [part for key, part in select.args.items() if part and key not in ("with_", "from_")]
    return [c for part in parts for e in (part if isinstance(part, list) else [part]) for c in _own(e)]


def _own(part: object) -> list[exp.Expr]:
    return calls_in(part) if isinstance(part, exp.Expr) else []


def _become(select: exp.Select, other: exp.Select) -> exp.Select:
    """The root of a statement cannot be replaced."""
    select.args.clear()
    for key, value in other.args.items():
        select.set(key, value)
    return select


def _inner_first(tree: exp.Expr) -> Iterator[exp.Select]:
    """CTEs, then derived tables and subqueries, then the SELECT that reads them."""
    with_ = tree.args.get("with_")
    if with_ is not None:
        yield from _inner_first(with_)
    for child in list(tree.iter_expressions()):
        if child is not with_:
            yield from _inner_first(child)
    if isinstance(tree, exp.Select):
        yield tree


def _around(select: exp.Select) -> tuple[frozenset[str], list[exp.Expr]]:
    """(names of the sources of outer queries, the CTEs that can be read here)."""
    outer, ctes = set[str](), list[exp.Expr]()
    node: exp.Expr | None = select
    inside: exp.Expr = select
    while node is not None:
        with_ = node.args.get("with_")
        if with_ is not None:
            known = list(with_.expressions)
            at = next((i for i, cte in enumerate(known) if cte is inside), len(known))
            ctes = [*known[:at], *ctes]
        if isinstance(node, exp.Select) and node is not select:
            outer |= {name.lower() for name in Rows(node, Names()).sources if name}
        if isinstance(node, exp.CTE):
            inside = node
        node = node.parent
    return frozenset(outer), ctes
