"""What a Spark user writes today: an iterator pandas UDF that loads vLLM in its Python worker and keeps it there.

The prompts hold the same instruction and fields, the answers are held to the same labels, and the engine has the same
arguments and batch limits as sparkllm's. Every Python worker has one, as it would, with vLLM's own environment. Rows
that are too long end such a job; its author would have to see to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import sqlglot
from sqlglot import exp

__all__ = ["FUNCTION", "Counts", "asked_by_udf", "by_udf", "fields_of", "forget_prefixes"]

FUNCTION = "own_engine"
_engines: dict[str, Any] = {}  # of this Python worker, by their arguments

Counts = dict[str, int]


def asked_by_udf(sql: str) -> str:
    """The query with the function in the place of each `llm(prompt, fields..., labels => ...)`.

    >>> print(asked_by_udf("SELECT llm('Good?', a, b, labels => array('Yes', 'No')) FROM t"))
    SELECT OWN_ENGINE('Good?', TO_JSON(STRUCT(a, b)), '["Yes", "No"]') FROM t
    """
    tree = sqlglot.parse_one(sql, read="spark")
    for call in _calls(tree):
        prompt, *rest = call.expressions
        named = {e.this.name: e.expression for e in rest if isinstance(e, exp.Kwarg)}
        labels = [label.this for label in named["labels"].expressions] if "labels" in named else []
        data = exp.Anonymous(this="TO_JSON", expressions=[exp.Anonymous(this="STRUCT", expressions=_fields(call))])
        call.replace(exp.Anonymous(this=FUNCTION, expressions=[prompt, data, exp.Literal.string(json.dumps(labels))]))
    return tree.sql(dialect="spark")


def fields_of(sql: str) -> list[list[str]]:
    """The fields of each call, in the order in which calls are written.

    >>> fields_of("SELECT llm('Good?', *) FROM t WHERE llm('Bad?', a, b) = 'Yes'")
    [['*'], ['a', 'b']]
    """
    calls = _calls(sqlglot.parse_one(sql, read="spark"))
    return [[field.sql(dialect="spark") for field in _fields(call)] for call in calls]


def _calls(tree: exp.Expr) -> list[exp.Anonymous]:
    return [node for node in tree.find_all(exp.Anonymous, bfs=False) if node.name.lower() == "llm"]


def _fields(call: exp.Anonymous) -> list[exp.Expr]:
    return [e for e in call.expressions[1:] if not isinstance(e, exp.Kwarg)]


def by_udf(arguments: dict[str, Any], max_tokens: int, counted: Any) -> Any:
    """The function, for `spark.udf.register`.

    Args:
        arguments: of `vllm.LLM`.
        max_tokens: of an answer without labels.
        counted: accumulator of `Counts`.
    """
    from pyspark.sql.functions import pandas_udf

    @pandas_udf("string")  # type: ignore[call-overload]
    def ask(batches: Iterator[tuple[pd.Series, pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        engine = _engine(arguments)
        for prompts, data, labels in batches:
            yield _answers(engine, prompts, data, labels, max_tokens, counted)

    return ask


def forget_prefixes(arguments: dict[str, Any], batches: Iterator[Any]) -> Iterator[Any]:
    """For `mapInArrow`: this worker's engine is there, warm, and has an empty prefix cache."""
    engine = _engine(arguments)
    engine.generate([f"text number {i * 7919 % 1000}" for i in range(16)], use_tqdm=False)
    engine.reset_prefix_cache()
    yield from batches


def _engine(arguments: dict[str, Any]) -> Any:
    key = json.dumps(arguments, sort_keys=True)
    if key not in _engines:
        from vllm import LLM

        _engines[key] = LLM(**arguments)
    return _engines[key]


def _answers(
    engine: Any, prompts: pd.Series, data: pd.Series, labels: pd.Series, max_tokens: int, counted: Any
) -> pd.Series:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    asked = []
    for choices in labels:
        held = StructuredOutputsParams(choice=json.loads(choices)) if choices != "[]" else None
        asked.append(SamplingParams(temperature=0, max_tokens=max_tokens, structured_outputs=held))
    # written as sparkllm's fields are, so that both have the same tokens
    written = [json.dumps(json.loads(fields), ensure_ascii=False) for fields in data]
    texts = [f"{prompt}\n\n{fields}" for prompt, fields in zip(prompts, written, strict=True)]
    chats = [[{"role": "user", "content": text}] for text in texts]
    outputs = engine.chat(chats, asked, use_tqdm=False)
    counted.add(
        {
            "requests": len(outputs),
            "prompt_tokens": sum(len(o.prompt_token_ids) for o in outputs),
            "cached_tokens": sum(o.num_cached_tokens or 0 for o in outputs),
            "output_tokens": sum(len(o.outputs[0].token_ids) for o in outputs),
        }
    )
    return pd.Series([o.outputs[0].text for o in outputs], dtype="object")
