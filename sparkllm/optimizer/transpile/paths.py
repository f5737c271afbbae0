"""What stands behind a call, `.result` or `:labels[0]::string`, turned together with it."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.foreign import text

__all__ = ["put"]

Step = str | int
_RAW = "full_response"


def put(node: exp.Expr, answer: exp.Expr) -> None:
    """Put `answer` in the place of `node` and of the steps behind it.

    >>> from sqlglot import parse_one
    >>> tree = parse_one("SELECT f(a):labels[0]::string FROM t", read="snowflake")
    >>> answer = parse_one("struct(array(llm_gen('x')) AS labels)", read="spark")
    >>> put(tree.find(exp.Anonymous), answer); tree.sql("spark")
    "SELECT CAST(LLM_GEN('x') AS STRING) FROM t"
    """
    while (steps := _steps_behind(node)) is not None:
        node = node.parent  # type: ignore[assignment] # it has one, which holds the steps
        for step in steps:
            answer = _select(answer, step)
    node.replace(answer)


def _steps_behind(node: exp.Expr) -> list[Step] | None:
    parent = node.parent
    if parent is None or parent.args.get("this") is not node:
        return None
    if isinstance(parent, exp.Dot) and isinstance(parent.expression, exp.Identifier):
        return [parent.expression.name]
    if isinstance(parent, exp.JSONExtract) and isinstance(parent.expression, exp.JSONPath):
        keys = [part for part in parent.expression.expressions if not isinstance(part, exp.JSONPathRoot)]
        return [part.this for part in keys]
    if isinstance(parent, exp.Bracket) and len(parent.expressions) == 1:
        key = parent.expressions[0]
        return [str(key.this) if key.is_string else int(key.this)] if isinstance(key, exp.Literal) else None
    return None


def _select(answer: exp.Expr, step: Step) -> exp.Expr:
    if isinstance(answer, exp.Array) and isinstance(step, int) and step < len(answer.expressions):
        return answer.expressions[step]
    if isinstance(answer, exp.Struct) and isinstance(step, str):
        return _field(answer, step)
    if step == _RAW:
        raise TranspileError("the model's whole response is not kept, only its answer")
    if isinstance(step, int):
        return exp.Bracket(this=answer, expressions=[exp.Literal.number(step)])
    return exp.Dot(this=answer, expression=exp.to_identifier(step))


def _field(struct: exp.Struct, name: str) -> exp.Expr:
    values = {
        item.this.name.lower() if isinstance(item, exp.PropertyEQ) else item.alias.lower(): _value(item)
        for item in struct.expressions
    }
    if name.lower() in values:
        return values[name.lower()]
    answer = values.get("result")
    if name.lower() == "status" and isinstance(answer, exp.Anonymous):
        option = exp.Kwarg(this=exp.var("on_error"), expression=text("struct"))
        answer.append("expressions", option)
        error = exp.Dot(this=answer, expression=exp.to_identifier("error"))
        return exp.Coalesce(this=error, expressions=[text("")])
    raise TranspileError(f"{name} has no counterpart; there is {', '.join(values)}")


def _value(item: exp.Expr) -> exp.Expr:
    value = item.expression if isinstance(item, exp.PropertyEQ) else item.this
    assert isinstance(value, exp.Expr)
    return value
