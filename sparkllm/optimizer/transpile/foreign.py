"""A call of a platform's AI function, whatever sqlglot has made of it, and what it is turned into."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from sparkllm.errors import TranspileError

__all__ = ["ForeignCall", "Handler", "Turn", "constant", "ours", "plain_value", "text"]


@dataclass
class ForeignCall:
    """One call as it stands in the statement.

    Attributes:
        name: the function's name in lower case, with its schema: `ai_complete`, `snowflake.cortex.complete`, `ai.if`.
        node: the expression that stands for it in the statement.
        positional, named: its arguments; names are in lower case.
        text, line: how and where it stands there; lines from 1, 0 where the parser does not tell.
    """

    name: str
    node: exp.Expr
    positional: list[exp.Expr]
    named: dict[str, exp.Expr] = field(default_factory=dict)
    text: str = ""
    line: int = 0

    def bind(self, *names: str) -> dict[str, exp.Expr]:
        """The arguments by name, those without one in this order.

        Raises:
            TranspileError: more arguments than names, an unknown name, or one given twice.
        """
        if len(self.positional) > len(names):
            raise TranspileError(f"takes at most {len(names)} arguments here, found {len(self.positional)}")
        bound = dict(zip(names, self.positional, strict=False))
        lower = {name.lower(): name for name in names}
        for key, value in self.named.items():
            if key not in lower or lower[key] in bound:
                raise TranspileError(f"argument {key} has no counterpart")
            bound[lower[key]] = value
        return bound


@dataclass
class Turn:
    """What handlers know beside their call: the user's models, and a place to say what was left out."""

    models: Mapping[str, str]
    notes: list[str] = field(default_factory=list)

    def model(self, name: exp.Expr | None) -> dict[str, exp.Expr]:
        """`model => ...`, where the user has said which model stands for a platform's; else the session's answers."""
        if name is None:
            return {}
        known = constant(name)
        if known is not None and known in self.models:
            return {"model": text(self.models[known])}
        self.notes.append(f"model {known or name.sql()}: left out, the session's model answers (see `models`)")
        return {}

    def left_out(self, arguments: Mapping[str, exp.Expr], *names: str) -> None:
        """Say of those arguments that are given that nothing stands for them."""
        self.notes.extend(f"{name} is left out" for name in names if name in arguments)


Handler = Callable[[ForeignCall, Turn], exp.Expr]


def constant(e: exp.Expr | None) -> str | None:
    """A constant text, however it is written; None for anything else.

    >>> from sqlglot import parse_one
    >>> [constant(parse_one(e)) for e in ("'a' || ('b')", "'a' || b")]
    ['ab', None]
    """
    if isinstance(e, exp.Literal) and e.is_string:
        return str(e.this)
    if isinstance(e, exp.Paren):
        return constant(e.this)
    if isinstance(e, exp.DPipe) or type(e) is exp.Concat:
        parts = [constant(part) for part in ([e.this, e.expression] if isinstance(e, exp.DPipe) else e.expressions)]
        return None if None in parts else "".join(map(str, parts))
    return None


def text(value: str) -> exp.Expr:
    """A string literal."""
    return exp.Literal.string(value)


def ours(name: str, *arguments: exp.Expr, **options: exp.Expr) -> exp.Expr:
    """A call of one of our functions.

    >>> ours("llm_gen", text("Say hello."), max_tokens=exp.Literal.number(5)).sql("spark")
    "LLM_GEN('Say hello.', max_tokens => 5)"
    """
    named = [exp.Kwarg(this=exp.var(key), expression=value) for key, value in options.items()]
    return exp.Anonymous(this=name, expressions=[*(a.copy() for a in arguments), *named])


def plain_value(e: exp.Expr | None) -> Any:
    """A constant object, array, number, text or JSON text as Python has it.

    Raises:
        TranspileError: it is not constant.
    """
    if isinstance(e, exp.ParseJSON | exp.Cast | exp.Paren):
        inner = constant(e.this)
        return json.loads(inner) if inner is not None else plain_value(e.this)
    if (written := constant(e)) is not None:
        return written
    if isinstance(e, exp.Literal):
        return json.loads(str(e.this))
    if isinstance(e, exp.Boolean):
        return bool(e.this)
    if isinstance(e, exp.Neg):
        return -plain_value(e.this)
    if isinstance(e, exp.Array | exp.Tuple):
        return [plain_value(item) for item in e.expressions]
    return _object(e)


def _object(e: exp.Expr | None) -> dict[str, Any]:
    if isinstance(e, exp.VarMap | exp.Map):
        keys, values = e.args["keys"].expressions, e.args["values"].expressions
        return {str(plain_value(k)): plain_value(v) for k, v in zip(keys, values, strict=True)}
    if not isinstance(e, exp.Struct):
        raise TranspileError(f"takes a constant, found {e.sql() if e is not None else 'nothing'}")
    found = {}
    for i, item in enumerate(e.expressions):
        if isinstance(item, exp.PropertyEQ):
            found[item.this.name] = plain_value(item.expression)
        elif isinstance(item, exp.Alias):
            found[item.alias] = plain_value(item.this)
        else:
            found[f"_{i}"] = plain_value(item)
    return found
