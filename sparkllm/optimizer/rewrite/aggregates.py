"""Which functions are aggregates, and which make several rows of one."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from sparkllm.optimizer.rewrite.asked import name_of, own_nodes

__all__ = ["aggregates", "is_aggregate", "is_generator"]

# Spark's aggregates (FunctionRegistry, group agg_funcs) that sqlglot has no class of its own for, or another.
_OTHERS = (
    "any", "bitmap_and_agg", "collect_union", "count_min_sketch", "every", "histogram_numeric", "hll_sketch_agg",
    "hll_union_agg", "kll_merge_agg_bigint", "kll_merge_agg_double", "kll_merge_agg_float", "kll_sketch_agg_bigint",
    "kll_sketch_agg_double", "kll_sketch_agg_float", "listagg", "max_by", "mean", "measure", "min_by", "some", "std",
    "string_agg", "theta_intersection_agg", "theta_sketch_agg", "theta_union_agg", "try_avg", "try_sum",
    "tuple_intersection_agg_double", "tuple_intersection_agg_integer", "tuple_sketch_agg_double",
    "tuple_sketch_agg_integer", "tuple_union_agg_double", "tuple_union_agg_integer",
)  # fmt: skip
_AROUND = (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)  # parts of the aggregate they stand around
_MANY_ROWS = (exp.Explode, exp.Posexplode, exp.Inline, exp.Stack)
_MORE_ROWS = ("inline_outer", "json_tuple", "variant_explode", "variant_explode_outer")


def is_aggregate(node: exp.Expr) -> bool:
    """The whole of one, with FILTER and the like; not one over a window.

    >>> from sqlglot import parse_one
    >>> [is_aggregate(parse_one(e, read="spark")) for e in ("try_sum(a)", "first(a) IGNORE NULLS", "sum(a) OVER ()")]
    [True, True, False]
    """
    if isinstance(node.parent, (exp.Window, *_AROUND)) and node.parent.this is node:
        return False
    if isinstance(node, exp.Any):  # `any(a > 1)`, not `a LIKE ANY ('x%', 'y%')`
        return not isinstance(node.parent, exp.Like | exp.ILike)
    while isinstance(node, _AROUND):
        node = node.this
    return isinstance(node, exp.AggFunc | exp.Any) or name_of(node) in _OTHERS


def aggregates(e: exp.Expr) -> Iterator[exp.Expr]:
    """Those of `e`, not of queries in it."""
    return (node for node in own_nodes(e) if is_aggregate(node))


def is_generator(node: exp.Expr) -> bool:
    """It makes several rows of one: `explode(a)`."""
    return isinstance(node, _MANY_ROWS) or name_of(node) in _MORE_ROWS
