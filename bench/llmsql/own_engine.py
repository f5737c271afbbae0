"""What a Spark user writes today: an iterator pandas UDF that loads vLLM in its Python worker and keeps it there.

The prompts hold the same instruction and fields, the answers are held to the same labels, and the engine has the same
arguments and batch limits as sparkllm's. Every Python worker has one, as it would, with vLLM's own process and thread
environment. Rows without a value are not asked, as in sparkllm; rows that are too long end such a job, and its author
would have to see to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import sqlglot
from sqlglot import exp

__all__ = ["FUNCTION", "Counts", "asked_by_udf", "by_udf", "fields_of"]

FUNCTION = "own_engine"
_engines: dict[str, Any] = {}  # of this Python worker, by their arguments
_runs: dict[str, int] = {}  # of each, the run that it was used in last

Counts = dict[str, int]


def asked_by_udf(sql: str, run: int = 0) -> str:
    """The query with the function in the place of each `llm(prompt, fields..., labels => ...)`.

    `run`: a new number empties the prefix caches of all engines that the query meets.

    >>> print(asked_by_udf("SELECT llm('Good?', a, b, labels => array('Yes', 'No')) FROM t", 7))
    SELECT OWN_ENGINE('Good?', TO_JSON(STRUCT(a, b)), '["Yes", "No"]', 7) FROM t
    """
    tree = sqlglot.parse_one(sql, read="spark")
    for call in _calls(tree):
        prompt, *rest = call.expressions
        named = {e.this.name: e.expression for e in rest if isinstance(e, exp.Kwarg)}
        labels = [label.this for label in named["labels"].expressions] if "labels" in named else []
        data = exp.Anonymous(this="TO_JSON", expressions=[exp.Anonymous(this="STRUCT", expressions=_fields(call))])
        rest = [exp.Literal.string(json.dumps(labels)), exp.Literal.number(run)]
        call.replace(exp.Anonymous(this=FUNCTION, expressions=[prompt, data, *rest]))
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
        counted: accumulator of `Counts`; `engines` are those that had to be made.
    """
    from pyspark.sql.functions import pandas_udf

    @pandas_udf("string")  # type: ignore[call-overload]
    def ask(batches: Iterator[tuple[pd.Series, pd.Series, pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for prompts, data, labels, run in batches:
            if len(data):
                engine = _engine(arguments, int(run.iloc[0]), counted)
                yield _answers(engine, prompts, data, labels, max_tokens, counted)
            else:
                yield pd.Series([], dtype="object")

    return ask


def _engine(arguments: dict[str, Any], run: int, counted: Any) -> Any:
    """This worker's, warm, with an empty prefix cache where it meets a run for the first time."""
    key = json.dumps(arguments, sort_keys=True)
    if key not in _engines:
        from vllm import LLM

        counted.add({"engines": 1})
        _engines[key] = LLM(**arguments)
        _engines[key].generate([f"text number {i * 7919 % 1000}" for i in range(16)], use_tqdm=False)
    if _runs.get(key) != run:
        _engines[key].reset_prefix_cache()
        _runs[key] = run
    return _engines[key]


def _answers(
    engine: Any, prompts: pd.Series, data: pd.Series, labels: pd.Series, max_tokens: int, counted: Any
) -> pd.Series:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    asked, chats = [], []
    known = [json.loads(fields) for fields in data]
    for prompt, fields, choices in zip(prompts, known, map(json.loads, labels), strict=True):
        if fields:
            held = StructuredOutputsParams(choice=choices) if choices else None
            most = max(len(choice.encode()) for choice in choices) + 1 if choices else max_tokens
            asked.append(SamplingParams(temperature=0, max_tokens=most, structured_outputs=held))
            # written as sparkllm's fields are, so that both have the same tokens
            text = f"{prompt}\n\n{json.dumps(fields, ensure_ascii=False)}"
            chats.append([{"role": "user", "content": text}])
    outputs = engine.chat(chats, asked, use_tqdm=False) if chats else []
    counted.add(
        {
            "requests": len(outputs),
            "null_fields": len(known) - len(outputs),
            "prompt_tokens": sum(len(o.prompt_token_ids) for o in outputs),
            "cached_tokens": sum(o.num_cached_tokens or 0 for o in outputs),
            "output_tokens": sum(len(o.outputs[0].token_ids) for o in outputs),
        }
    )
    answers = iter(outputs)
    return pd.Series([next(answers).outputs[0].text if fields else None for fields in known], dtype="object")
