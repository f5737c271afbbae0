"""BigQuery's AI functions.

https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-if, and in the same place
bigqueryml-syntax-ai-score, -ai-classify, -ai-generate, -ai-generate-bool, -ai-generate-double, -ai-generate-int.

The AI.GENERATE functions give a STRUCT of the answer, `full_response` and `status`: what stands behind them (`.result`)
is turned together with them (paths.py); `status` is '' where there is an answer.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.answers import columns, typed_columns, unwrapped
from sparkllm.optimizer.transpile.foreign import ForeignCall, Handler, Turn, constant, ours, plain_value, text
from sparkllm.optimizer.transpile.paths import with_status
from sparkllm.optimizer.transpile.prompts import ask, content, prompt, struct_pieces

__all__ = ["FUNCTIONS", "OTHERS"]

_HOW = ("connection_id", "endpoint", "embeddings", "optimization_mode", "max_error_ratio", "request_type")


def _prompted(function: str) -> Handler:
    """`AI.IF(prompt, ...)` and `AI.SCORE(prompt, ...)`."""

    def turned(call: ForeignCall, turn: Turn) -> exp.Expr:
        given = call.bind("prompt", "examples", *_HOW)
        if "examples" in given:
            raise TranspileError("examples have no counterpart")
        return ask(function, struct_pieces(given["prompt"]), **_where(given, turn))

    return turned


def _classify(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI.CLASSIFY(input, categories => [...] or [(label, description)] [, output_mode => 'single'])`."""
    given = call.bind("input", "categories", "examples", "output_mode", *_HOW)
    if "examples" in given or (constant(given.get("output_mode")) or "single").lower() != "single":
        raise TranspileError("several labels for one row, and examples, have no counterpart")
    options = _where(given, turn)
    found = [_described(c) for c in plain_value(given.get("categories"))]
    array, data = exp.Array(expressions=[text(label) for label, _ in found]), content(struct_pieces(given["input"]))
    if not any(said for _, said in found):
        return ours("llm_classify", data, array, **options)
    said = "; ".join(f"{label}: {said}" if said else label for label, said in found)
    field = data if isinstance(data, exp.Column) else exp.Struct(expressions=[exp.alias_(data.copy(), "value")])
    return ours("llm", prompt([f"Classify the data. The labels are {said}."])[0], field, labels=array, **options)


def _described(category: Any) -> tuple[str, str]:
    """`'a'`, `('a', 'what a is')` or `STRUCT('a' AS label, 'what a is' AS description)`."""
    if isinstance(category, dict):
        category = list(category.values())
    return (category, "") if isinstance(category, str) else (str(category[0]), str(category[1]))


def _generate(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI.GENERATE(prompt [, output_schema => 'a STRING' ...])` -> STRUCT<result> or STRUCT of those columns."""
    given = call.bind("prompt", "endpoint", "model_params", "output_schema", *(h for h in _HOW if h != "endpoint"))
    options = _where(given, turn) | _parameters(given.get("model_params"), turn)
    parts = struct_pieces(given["prompt"])
    if "output_schema" in given:
        schema = constant(given["output_schema"])
        if schema is None:
            raise TranspileError("takes a constant output_schema")
        return with_status(ask("llm", parts, schema=text(columns(schema, "bigquery")), **options))
    return _result(ask("llm_gen", parts, **options))


def _generate_typed(kind: str) -> Handler:
    """`AI.GENERATE_BOOL(prompt, ...)`, `_INT` and `_DOUBLE` -> STRUCT<result>."""

    def turned(call: ForeignCall, turn: Turn) -> exp.Expr:
        given = call.bind("prompt", "endpoint", "model_params", *(h for h in _HOW if h != "endpoint"))
        options = _where(given, turn) | _parameters(given.get("model_params"), turn)
        parts = struct_pieces(given["prompt"])
        if kind == "BOOLEAN":
            return _result(ask("llm_filter", parts, **options))
        return _result(unwrapped(ask("llm", parts, schema=text(typed_columns(kind)[0]), **options)))

    return turned


def _result(answer: exp.Expr) -> exp.Expr:
    return exp.Struct(expressions=[exp.alias_(answer, "result")])


def _where(given: dict[str, exp.Expr], turn: Turn) -> dict[str, exp.Expr]:
    """Whose model answers, and how it is reached, which is the session's affair."""
    turn.left_out(given, *(name for name in _HOW if name != "endpoint"))
    return turn.model(given.get("endpoint"))


def _parameters(given: exp.Expr | None, turn: Turn) -> dict[str, exp.Expr]:
    found = plain_value(given) if given is not None else {}
    config = found.get("generation_config", found.get("generationConfig", {}))
    most = config.pop("max_output_tokens", config.pop("maxOutputTokens", None))
    turn.notes.extend(f"{name} is left out: it is the session's" for name in config)
    turn.notes.extend(f"{name} is left out" for name in found if not name.startswith("generation"))
    return {} if most is None else {"max_tokens": exp.Literal.number(most)}


FUNCTIONS: dict[str, Handler] = {
    "ai.if": _prompted("llm_filter"),
    "ai.score": _prompted("llm_score"),
    "ai.classify": _classify,
    "ai.generate": _generate,
    "ai.generate_bool": _generate_typed("BOOLEAN"),
    "ai.generate_int": _generate_typed("BIGINT"),
    "ai.generate_double": _generate_typed("DOUBLE"),
}
_TABLE = "it is a function over a whole table; call AI.GENERATE on each row"
_VECTOR = "vectors are no answers of a language model"
OTHERS = {
    "ai.generate_table": _TABLE,
    "ai.generate_text": _TABLE,
    "ml.generate_text": _TABLE,
    "ai.agg": "write llm_agg(instruction, x)",
    "ai.embed": _VECTOR,
    "ai.generate_embedding": _VECTOR,
    "ml.generate_embedding": _VECTOR,
    "ai.similarity": _VECTOR,
    "ai.search": _VECTOR,
    "ai.forecast": "forecasts are no calls of a language model",
    "ai.detect_anomalies": "forecasts are no calls of a language model",
    "ai.evaluate": "forecasts are no calls of a language model",
}
