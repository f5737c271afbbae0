"""Databricks' AI functions.

https://docs.databricks.com/aws/en/large-language-models/ai-functions,
https://docs.databricks.com/aws/en/sql/language-manual/functions/ai_query,
https://docs.databricks.com/aws/en/sql/language-manual/functions/ai_classify, and so on by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.errors import ParseError

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.answers import json_schema_columns, struct_columns, typed_columns, unwrapped
from sparkllm.optimizer.transpile.foreign import ForeignCall, Handler, Turn, constant, ours, plain_value, text
from sparkllm.optimizer.transpile.languages import target
from sparkllm.optimizer.transpile.prompts import Piece, ask, pieces

__all__ = ["FUNCTIONS", "OTHERS"]

Reading = Callable[[exp.Expr], exp.Expr]

_SENTIMENTS = ("positive", "negative", "neutral", "mixed")
_QUERY = ("endpoint", "request", "returnType", "failOnError", "modelParameters", "responseFormat")


def ai_query(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`ai_query(endpoint, request [, returnType, failOnError, modelParameters, responseFormat])`.

    With `failOnError => false` the answer is STRUCT<result, errorMessage>, as there. A responseFormat that is
    STRUCT<...> gives that STRUCT, one that is a JSON schema a STRING.
    """
    given = call.bind(*_QUERY)
    if "request" not in given:
        raise TranspileError("takes an endpoint and a request")
    options = turn.model(given["endpoint"]) | _parameters(given.get("modelParameters"), turn)
    fails = given.get("failOnError", exp.null())
    if not isinstance(fails, exp.Boolean | exp.Null):
        raise TranspileError("takes a constant failOnError")
    if isinstance(fails, exp.Boolean):
        options["on_error"] = text("fail" if fails.this else "struct")
    answer, read = _answer(given, pieces(given["request"]), options)
    if not isinstance(fails, exp.Boolean) or fails.this:
        return read(answer)
    value, error = (exp.Dot(this=answer.copy(), expression=exp.to_identifier(name)) for name in ("value", "error"))
    return exp.Struct(expressions=[exp.alias_(read(value), "result"), exp.alias_(error, "errorMessage")])


def _answer(given: dict[str, exp.Expr], parts: list[Piece], options: dict[str, exp.Expr]) -> tuple[exp.Expr, Reading]:
    """(the call, what makes the answer of its value), as our own ai_query (sparkllm/ai_query.py) has it."""
    kind, form = (_constant(given, name) for name in ("returnType", "responseFormat"))
    if kind is not None and form is not None:
        raise TranspileError("takes returnType or responseFormat, not both")
    if form is not None and (columns := _response_columns(form)) is not None:
        struct = form.lstrip().upper().startswith("STRUCT")
        return ask("llm", parts, schema=text(columns), **options), _same if struct else _json
    if kind is None or kind.upper() == "STRING":
        return ask("llm_gen", parts, **options), _same
    columns, alone = typed_columns(kind)
    return ask("llm", parts, schema=text(columns), **options), unwrapped if alone else _same


def _same(value: exp.Expr) -> exp.Expr:
    return value


def _json(value: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="to_json", expressions=[value])


def _constant(given: dict[str, exp.Expr], name: str) -> str | None:
    if name in given and constant(given[name]) is None:
        raise TranspileError(f"takes a constant {name}")
    return constant(given.get(name))


def _response_columns(written: str) -> str | None:
    """Columns of `STRUCT<result: STRUCT<...>>` or of a JSON schema; None for plain text."""
    if written.lstrip().upper().startswith("STRUCT"):
        try:
            kind = exp.DataType.build(written, dialect="databricks")
        except ParseError as error:
            raise TranspileError(f"cannot read the responseFormat {written!r}") from error
        inner = kind.expressions[0].kind if len(kind.expressions) == 1 else kind
        return struct_columns(inner if inner is not None and inner.expressions else kind)
    try:
        form: Any = json.loads(written)
    except ValueError as error:
        raise TranspileError(f"cannot read the responseFormat {written!r}") from error
    if isinstance(form, dict) and form.get("type") == "text":
        return None
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise TranspileError("takes a responseFormat with a schema")
    return json_schema_columns(form.get("json_schema", {}).get("schema"))


def _parameters(given: exp.Expr | None, turn: Turn) -> dict[str, exp.Expr]:
    if given is None:
        return {}
    found = plain_value(given)
    turn.notes.extend(f"{name} is left out: it is the session's" for name in found if name != "max_tokens")
    return {"max_tokens": exp.Literal.number(found["max_tokens"])} if "max_tokens" in found else {}


def labels(e: exp.Expr | None) -> exp.Expr:
    """`ARRAY('a', 'b')`, or the same as JSON text, as an array of literals.

    Raises:
        TranspileError: it is not constant, or its labels have descriptions.
    """
    written = constant(e)
    found = json.loads(written) if written is not None and written.lstrip()[:1] in ("[", "{") else plain_value(e)
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise TranspileError("takes labels without descriptions")
    return exp.Array(expressions=[text(label) for label in found])


def _classify(call: ForeignCall, turn: Turn) -> exp.Expr:
    given = call.bind("content", "labels")
    return ours("llm_classify", given["content"], labels(given.get("labels")))


def _extract(call: ForeignCall, turn: Turn) -> exp.Expr:
    given = call.bind("content", "labels")
    return ours("llm_extract", given["content"], labels(given.get("labels")))


def _mask(call: ForeignCall, turn: Turn) -> exp.Expr:
    given = call.bind("content", "labels")
    return ours("llm_mask", given["content"], labels(given.get("labels")))


def _gen(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ask("llm_gen", pieces(call.bind("prompt")["prompt"]))


def _summarize(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("llm_summarize", *call.bind("content", "max_words").values())


def _translate(call: ForeignCall, turn: Turn) -> exp.Expr:
    given = call.bind("content", "to_lang")
    return ours("llm_translate", given["content"], target(given["to_lang"]))


def _fix_grammar(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("llm_fix_grammar", call.bind("content")["content"])


def _sentiment(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("llm_classify", call.bind("content")["content"], exp.Array(expressions=list(map(text, _SENTIMENTS))))


def _similarity(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("ai_similarity", *call.bind("expr1", "expr2").values())


FUNCTIONS: dict[str, Handler] = {
    "ai_query": ai_query,
    "ai_classify": _classify,
    "ai_extract": _extract,
    "ai_mask": _mask,
    "ai_gen": _gen,
    "ai_summarize": _summarize,
    "ai_translate": _translate,
    "ai_fix_grammar": _fix_grammar,
    "ai_analyze_sentiment": _sentiment,
    "ai_similarity": _similarity,
}
OTHERS = {
    "ai_forecast": "forecasts are no calls of a language model",
    "ai_parse_document": "files are not read, only text",
    "ai_prep_search": "files are not read, only text",
    "ai_top_drivers": "it is no call of a language model",
    "vector_search": "it is no call of a language model",
}
