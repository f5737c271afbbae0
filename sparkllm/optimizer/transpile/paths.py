"""What stands behind a call, `.result` or `:labels[0]::string`, turned together with it."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.foreign import text

__all__ = ["chosen", "with_status"]

Step = str | int
_RAW, _STATUS = "full_response", "status"


def chosen(node: exp.Expr, answer: exp.Expr) -> tuple[exp.Expr, exp.Expr]:
    """(the call together with the steps behind it, what stands for them).

    >>> from sqlglot import parse_one
    >>> tree = parse_one("SELECT f(a):labels[0]::string FROM t", read="snowflake")
    >>> answer = parse_one("struct(array(llm_gen('x')) AS labels)", read="spark")
    >>> [e.sql("spark") for e in chosen(tree.find(exp.Anonymous), answer)]
    ["GET_JSON_OBJECT(F(a), '$.labels[0]')", "LLM_GEN('x')"]
    """
    while not _is_text(answer) and (steps := _steps_behind(node)) is not None:
        node = node.parent  # type: ignore[assignment] # it has one, which holds the steps
        for step in steps:
            answer = _select(answer, step)
    return node, answer


def with_status(answer: exp.Expr) -> exp.Expr:
    """A STRUCT beside whose columns there is `status`, too."""
    answer.meta[_STATUS] = True
    return answer


def _is_text(answer: exp.Expr) -> bool:
    """A path into it reads JSON from a text, as Spark does it, too."""
    while isinstance(answer, exp.Dot):
        answer = answer.this
    return isinstance(answer, exp.Anonymous) and answer.name in ("llm_gen", "to_json")


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
    if step == _STATUS and answer.meta.get(_STATUS):
        return _error(answer)
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
    if name.lower() == _STATUS and isinstance(answer, exp.Anonymous):
        return _error(answer)
    raise TranspileError(f"{name} has no counterpart; there is {', '.join(values)}")


def _error(answer: exp.Expr) -> exp.Expr:
    """'' where there is an answer. It is of a call, or of a call behind a condition."""
    call = answer.args["false"] if isinstance(answer, exp.If) else answer
    call.append("expressions", exp.Kwarg(this=exp.var("on_error"), expression=text("struct")))
    error = exp.Dot(this=answer, expression=exp.to_identifier("error"))
    return exp.Coalesce(this=error, expressions=[text("")])


def _value(item: exp.Expr) -> exp.Expr:
    value = item.expression if isinstance(item, exp.PropertyEQ) else item.this
    assert isinstance(value, exp.Expr)
    return value
