"""Databricks' AI functions.

https://docs.databricks.com/aws/en/large-language-models/ai-functions,
https://docs.databricks.com/aws/en/sql/language-manual/functions/ai_query,
https://docs.databricks.com/aws/en/sql/language-manual/functions/ai_classify, and so on by name.
"""

from __future__ import annotations

import json
from typing import Any

from sqlglot import exp

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.answers import json_schema_columns, typed
from sparkllm.optimizer.transpile.foreign import ForeignCall, Handler, Turn, constant, ours, plain_value, text
from sparkllm.optimizer.transpile.prompts import pieces, prompt

__all__ = ["FUNCTIONS", "OTHERS"]

_SENTIMENTS = ("positive", "negative", "neutral", "mixed")
_QUERY = ("endpoint", "request", "returnType", "failOnError", "modelParameters", "responseFormat")


def ai_query(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`ai_query(endpoint, request [, returnType, failOnError, modelParameters, responseFormat])`.

    With `failOnError => false` the answer is STRUCT<result, errorMessage>, as there.
    """
    given = call.bind(*_QUERY)
    if "request" not in given:
        raise TranspileError("takes an endpoint and a request")
    options = turn.model(given["endpoint"]) | _parameters(given.get("modelParameters"), turn)
    arguments = prompt(pieces(given["request"]))
    fails = given.get("failOnError")
    if not isinstance(fails, exp.Boolean):
        return _answer(given, arguments, options)
    if fails.this:
        return _answer(given, arguments, options | {"on_error": text("fail")})
    both = _answer(given, arguments, options | {"on_error": text("struct")}, whole=True)
    parts = [("result", exp.Dot(this=both, expression=exp.to_identifier("value")))]
    parts.append(("errorMessage", exp.Dot(this=both.copy(), expression=exp.to_identifier("error"))))
    return exp.Struct(expressions=[exp.alias_(value, name) for name, value in parts])


def _answer(
    given: dict[str, exp.Expr],
    arguments: list[exp.Expr],
    options: dict[str, exp.Expr],
    whole: bool = False,
) -> exp.Expr:
    """`whole`: an answer that has to be computed with, as it would be unwrapped, cannot be held beside its error."""
    kind, form = constant(given.get("returnType")), constant(given.get("responseFormat"))
    if form is not None and form.strip() != '{"type": "text"}':
        found = ours("llm", *arguments, schema=text(_response_format(form)), **options)
        answer: exp.Expr = exp.Anonymous(this="to_json", expressions=[found])
    elif kind is None or kind.upper() == "STRING":
        return ours("llm_gen", *arguments, **options)
    else:
        answer = typed(kind, arguments, options)
    if whole and (not isinstance(answer, exp.Anonymous) or answer.name == "to_json"):
        raise TranspileError("failOnError => false together with this type of answer has no counterpart")
    return answer


def _response_format(written: str) -> str:
    """Columns of `STRUCT<result: STRUCT<...>>` or of a JSON schema."""
    if written.lstrip().upper().startswith("STRUCT"):
        kind = exp.DataType.build(written, dialect="databricks")
        inner = kind.expressions[0].kind if len(kind.expressions) == 1 else kind
        fields = inner.expressions if inner is not None and inner.expressions else kind.expressions
        return ", ".join(c.sql("spark").replace(": ", " ", 1) for c in fields)
    try:
        form: Any = json.loads(written)
    except ValueError as error:
        raise TranspileError(f"cannot read the responseFormat {written!r}") from error
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
    return ours("llm_gen", *prompt(pieces(call.bind("prompt")["prompt"])))


def _summarize(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("llm_summarize", *call.bind("content", "max_words").values())


def _translate(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("llm_translate", *call.bind("content", "to_lang").values())


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
