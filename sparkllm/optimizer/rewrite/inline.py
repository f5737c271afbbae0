"""A CTE with calls that is read once becomes the derived table it stands for, so that conditions reach it."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.optimizer.rewrite.asked import is_call

__all__ = ["inline_ctes"]


def inline_ctes(tree: exp.Expr) -> None:
    """`WITH x AS (SELECT id, llm(a) AS c FROM t) SELECT c FROM x` -> `SELECT c FROM (SELECT id, llm(a) ...) AS x`."""
    for with_ in list(tree.find_all(exp.With)):
        if with_.args.get("recursive"):
            continue
        for cte in list(with_.expressions):
            if any(is_call(node) for node in cte.walk()) and not cte.args["alias"].columns:
                _inline(tree, with_, cte)


def _inline(tree: exp.Expr, with_: exp.With, cte: exp.CTE) -> None:
    name = cte.alias.lower()
    named = [other for other in tree.find_all(exp.CTE) if other.alias.lower() == name]
    scope = with_.parent
    read = [t for t in scope.find_all(exp.Table) if t.name.lower() == name and not t.db] if scope else []
    if len(named) != 1 or len(read) != 1:
        return
    table = read[0]
    subquery = exp.Subquery(this=cte.this.copy(), alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
    if table.args.get("joins"):
        subquery.set("joins", table.args["joins"])
    table.replace(subquery)
    cte.pop()
    if not with_.expressions:
        with_.pop()
