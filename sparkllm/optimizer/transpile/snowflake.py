"""Snowflake's AI functions (Cortex).

https://docs.snowflake.com/en/sql-reference/functions/ai_complete, .../ai_filter, .../ai_classify, .../ai_extract,
.../ai_agg, .../ai_summarize_agg, .../ai_sentiment, .../ai_translate, .../prompt, and the older ones in
https://docs.snowflake.com/en/sql-reference/functions/complete-snowflake-cortex and its like.

Where a function gives an OBJECT, what stands behind it (`:labels[0]`) is turned together with it (paths.py).
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.answers import json_schema_columns, named, struct_columns
from sparkllm.optimizer.transpile.foreign import ForeignCall, Handler, Turn, constant, ours, plain_value, text
from sparkllm.optimizer.transpile.languages import target
from sparkllm.optimizer.transpile.prompts import ask, content, pieces, prompt
from sparkllm.optimizer.transpile.reading import TYPE

__all__ = ["FUNCTIONS", "OTHERS"]

_SENTIMENTS = ("positive", "negative", "neutral", "mixed", "unknown")
_COMPLETE = ("model", "prompt", "model_parameters", "response_format", "show_details", "return_error_details")


def _complete(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI_COMPLETE(model, prompt [, model_parameters, response_format, show_details])`."""
    given = call.bind(*_COMPLETE)
    _refuse_details(given, "show_details", "return_error_details")
    if "prompt" not in given:
        raise TranspileError("takes a prompt")
    options = turn.model(given["model"]) | _parameters(given.get("model_parameters"), turn)
    parts = pieces(given["prompt"])
    if "response_format" not in given:
        return ask("llm_gen", parts, **options)
    return ask("llm", parts, schema=text(_response_format(given["response_format"])), **options)


def _refuse_details(given: dict[str, exp.Expr], *names: str) -> None:
    """The answer with its error, or with its tokens, is an OBJECT there."""
    for name in names or ("return_error_details",):
        if name in given and not (isinstance(given[name], exp.Null) or given[name] == exp.false()):
            raise TranspileError(f"{name} has no counterpart: the report has errors and tokens")


def _cortex_complete(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`SNOWFLAKE.CORTEX.COMPLETE(model, prompt)`; with options the prompt is a conversation."""
    given = call.bind("model", "prompt", "options")
    if "options" in given:
        raise TranspileError("a conversation has no counterpart")
    return ask("llm_gen", pieces(given["prompt"]), **turn.model(given["model"]))


def _parameters(given: exp.Expr | None, turn: Turn) -> dict[str, exp.Expr]:
    found = plain_value(given) if given is not None else {}
    turn.notes.extend(f"{name} is left out: it is the session's" for name in found if name != "max_tokens")
    return {"max_tokens": exp.Literal.number(found["max_tokens"])} if "max_tokens" in found else {}


def _response_format(e: exp.Expr) -> str:
    """`{'type': 'json', 'schema': {...}}` or `TYPE OBJECT(a STRING)`."""
    if TYPE in e.meta:
        return struct_columns(e.meta[TYPE])
    return json_schema_columns(plain_value(e).get("schema"))


def _filter(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI_FILTER(input)`: a text, or `PROMPT(...)`; what else stands behind it is a file."""
    second = call.positional[1] if len(call.positional) > 1 else exp.false()
    if not isinstance(second, exp.Boolean):
        raise TranspileError("files are not read, only text")
    given = call.bind("predicate", "return_error_details")
    _refuse_details(given)
    return ask("llm_filter", pieces(given["predicate"]))


def _classify(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI_CLASSIFY(input, list_of_categories [, config_object])` -> OBJECT with `labels`, an ARRAY of one."""
    given = call.bind("input", "categories", "config", "return_error_details")
    _refuse_details(given)
    config = plain_value(given["config"]) if "config" in given else {}
    if config.get("output_mode", "single") != "single" or "examples" in config:
        raise TranspileError("several labels for one row, and examples, have no counterpart")
    label = _label(given["input"], plain_value(given.get("categories")), config.get("task_description", ""))
    return _struct(labels=exp.Array(expressions=[label]))


def _classify_text(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`SNOWFLAKE.CORTEX.CLASSIFY_TEXT(input, list_of_categories [, options])` -> OBJECT with `label`."""
    given = call.bind("input", "categories", "options")
    options = plain_value(given["options"]) if "options" in given else {}
    label = _label(given["input"], plain_value(given.get("categories")), options.get("task_description", ""))
    return _struct(label=label)


def _label(x: exp.Expr, categories: Any, task: str) -> exp.Expr:
    """Labels alone are `llm_classify`; with descriptions or a task they are a prompt of their own."""
    described = [c if isinstance(c, dict) else {"label": c} for c in categories]
    if not all(isinstance(c.get("label"), str) and "examples" not in c for c in described):
        raise TranspileError("takes categories that are texts, or objects of label and description")
    array = exp.Array(expressions=[text(c["label"]) for c in described])
    if not task and not any(c.get("description") for c in described):
        return ours("llm_classify", content(pieces(x)), array)
    said = "; ".join(c["label"] + (f": {c['description']}" if c.get("description") else "") for c in described)
    return ours("llm", *_about(f"{task.rstrip('. ') or 'Classify the data'}. The labels are {said}.", x), labels=array)


def _about(said: str, x: exp.Expr) -> list[exp.Expr]:
    """A prompt about data that it does not hold itself."""
    data = content(pieces(x))
    field = data if isinstance(data, exp.Column) else exp.Struct(expressions=[exp.alias_(data.copy(), "value")])
    return [prompt([said])[0], field]


def _extract(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI_EXTRACT(text, responseFormat)` -> OBJECT with `response`."""
    given = call.bind("text", "responseFormat", "return_error_details")
    _refuse_details(given)
    if "text" not in given or "responseFormat" not in given:
        raise TranspileError("files are not read, only text")
    wanted = plain_value(given["responseFormat"])
    schema = json_schema_columns(wanted["schema"]) if "schema" in wanted else named(_wanted(wanted))
    return _struct(response=ours("llm_extract", given["text"], text(schema)))


def _wanted(wanted: Any) -> list[tuple[str, str]]:
    """(name, question) of `{'name': 'question'}`, `[['name', 'question']]`, `['name: question']` or `['question']`."""
    if isinstance(wanted, dict):
        return [(str(name), str(question)) for name, question in wanted.items()]
    found = []
    for item in wanted:
        name, colon, question = (item[0], ":", item[1]) if isinstance(item, list) else item.partition(":")
        found.append((name.strip(), question.strip() if colon else ""))
    return found


def _agg(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI_AGG(expr, instruction)`."""
    given = call.bind("expr", "instruction")
    return ours("llm_agg", given["instruction"], given["expr"])


def _summarize_agg(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("llm_summarize_agg", call.bind("expr")["expr"])


def _sentiment(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI_SENTIMENT(text [, categories])` -> OBJECT with `categories`, an ARRAY of (name, sentiment), overall first."""
    given = call.bind("text", "categories", "return_error_details")
    _refuse_details(given)
    asked = [str(name) for name in plain_value(given["categories"])] if "categories" in given else []
    array = exp.Array(expressions=list(map(text, _SENTIMENTS)))
    found = [_struct(name=text("overall"), sentiment=ours("llm_classify", content(pieces(given["text"])), array))]
    for name in asked:
        arguments = _about(
            f"What is the sentiment of the data about {name}? unknown if it says nothing.", given["text"]
        )
        found.append(_struct(name=text(name), sentiment=ours("llm", *arguments, labels=array.copy())))
    return _struct(categories=exp.Array(expressions=found))


def _sentiment_score(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`SNOWFLAKE.CORTEX.SENTIMENT(text)`, from -1 to 1."""
    said = "Rate the sentiment of the data from -1, most negative, over 0, neutral, to 1, most positive."
    return ours("llm_score", *_about(said, call.bind("text")["text"]))


def _translate(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI_TRANSLATE(text, source_language, target_language)`."""
    given = call.bind("text", "source_language", "target_language", "return_error_details")
    _refuse_details(given)
    language = target(given.get("target_language"))
    if constant(given["source_language"]) != "":
        turn.notes.append("the source language is left out: the model finds it")
    return ours("llm_translate", given["text"], language)


def _summarize(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("llm_summarize", call.bind("text")["text"])


def _redact(call: ForeignCall, turn: Turn) -> exp.Expr:
    """`AI_REDACT(input, categories)`."""
    given = call.bind("input", "categories")
    if "categories" not in given:
        raise TranspileError("name the categories: AI_REDACT(input, [...])")
    names = [text(str(name).lower().replace("_", " ")) for name in plain_value(given["categories"])]
    return ours("llm_mask", given["input"], exp.Array(expressions=names))


def _similarity(call: ForeignCall, turn: Turn) -> exp.Expr:
    return ours("ai_similarity", *call.bind("input1", "input2").values())


def _struct(**values: exp.Expr) -> exp.Expr:
    return exp.Struct(expressions=[exp.alias_(value, name) for name, value in values.items()])


_CORTEX = "snowflake.cortex."
_NEW: dict[str, Handler] = {
    "ai_complete": _complete,
    "ai_filter": _filter,
    "ai_classify": _classify,
    "ai_extract": _extract,
    "ai_agg": _agg,
    "ai_summarize_agg": _summarize_agg,
    "ai_sentiment": _sentiment,
    "ai_translate": _translate,
    "ai_redact": _redact,
    "ai_similarity": _similarity,
}
FUNCTIONS: dict[str, Handler] = {
    **_NEW,
    **{_CORTEX + name: handler for name, handler in _NEW.items()},
    _CORTEX + "complete": _cortex_complete,
    _CORTEX + "try_complete": _cortex_complete,
    _CORTEX + "classify_text": _classify_text,
    _CORTEX + "sentiment": _sentiment_score,
    _CORTEX + "summarize": _summarize,
    _CORTEX + "translate": _translate,
}
OTHERS = {
    "flatten": "write LATERAL explode(array), or LATERAL variant_explode(variant)",
    "ai_embed": "vectors are no answers of a language model",
    "ai_transcribe": "files are not read, only text",
    "ai_parse_document": "files are not read, only text",
    "ai_count_tokens": "sparkllm.explain counts them",
    _CORTEX + "extract_answer": "it gives scores of spans; ask with llm_extract",
    _CORTEX + "embed_text_768": "vectors are no answers of a language model",
    _CORTEX + "embed_text_1024": "vectors are no answers of a language model",
    _CORTEX + "entity_sentiment": "take AI_SENTIMENT",
    _CORTEX + "count_tokens": "sparkllm.explain counts them",
    _CORTEX + "parse_document": "files are not read, only text",
    _CORTEX + "finetune": "models are not trained here",
}
