"""Who runs the queries: what users do today, and sparkllm with everything on and with one thing off in turn.

All run in one Spark session, on the same model with the same arguments and batch limits of vLLM. Before each run the
contender's engines are there and warm, and the prefix cache is empty. Nothing is learnt from run to run (but by
`learnt`): what filters keep is guessed anew. Engines of other contenders stay in memory, idle: `uncached` and
`speculation` have one of their own, and `udf` one in every Python worker; where there is room for one, as on a GPU,
leave those out (--contenders).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.accumulators import AccumulatorParam
from pyspark.sql import DataFrame, SparkSession

from bench.llmsql.own_engine import FUNCTION, Counts, asked_by_udf, by_udf, fields_of
from bench.llmsql.suite import Query
from bench.llmsql.timed_session import TimedSession
from sparkllm.backend.cores import usable_cores
from sparkllm.backend.cpu_dtype import fastest_dtype
from sparkllm.backend.model_path import resolve

__all__ = ["CONTENDERS", "Contender", "Stage", "text_of"]

_RULES = ("dedup", "orderFields", "orderRows", "coLocate", "orderCascade")
_SEQUENCES, _BATCHED_TOKENS = 128, 2048  # vLLM's own limits differ between its ways to be called
_UDF_TRIES = 3
_NO_COUNTS = dict.fromkeys(("requests", "prompt_tokens", "cached_tokens", "output_tokens"), 0)
_OTHER = "SELECT llm('Say a word.', concat('text number ', id * 7919 % 1000)) FROM range(64)"


@dataclass(frozen=True)
class Contender:
    """One way to run a query.

    Attributes:
        means: in words.
        off: rules of the optimizer that are off.
        conf: other settings.
        sorts: whether the rows are sorted by the text of their fields first.
        own_engine: whether it is the pandas UDF with an engine of its own.
        learns: whether the query has been run before on the same rows, and what its filters keep is known from that.
    """

    means: str
    off: tuple[str, ...] = ()
    conf: Mapping[str, str] = field(default_factory=dict)
    sorts: bool = False
    own_engine: bool = False
    learns: bool = False


def _options(**others: object) -> str:
    return json.dumps({"max_num_batched_tokens": _BATCHED_TOKENS, **others})


_NO_CACHE = {"engineOptions": _options(enable_prefix_caching=False)}
_LEARNS = {"optimizer.learnSelectivity": "true"}
CONTENDERS = {
    "udf": Contender("a pandas UDF, an engine in each Python worker", own_engine=True),
    "uncached": Contender("one engine, prefix caching off", off=_RULES, conf=_NO_CACHE),
    "cached": Contender("one engine, prefix caching on, rows and fields as they are", off=_RULES),
    "sorted": Contender("the same, rows sorted by the prompt's text", off=_RULES, sorts=True),
    "sparkllm": Contender("sparkllm"),
    "no dedup": Contender("sparkllm, equal prompts asked for each row", off=("dedup",)),
    "no field order": Contender("sparkllm, fields as they are", off=("orderFields",)),
    "no row order": Contender("sparkllm, rows as they are", off=("orderRows", "coLocate")),
    "no co-location": Contender("sparkllm, each task orders its own rows", off=("coLocate",)),
    "whole prompts": Contender("sparkllm, each prompt tokenised whole", off=("tokenizeCells",)),
    "no cascade": Contender("sparkllm, calls in the order in which they are written", off=("orderCascade",)),
    "no pilot": Contender("sparkllm, the order of calls by a guess at what filters keep", off=("pilotRun",)),
    "learnt": Contender("sparkllm, which has seen in a run before what filters keep", learns=True, conf=_LEARNS),
    "speculation": Contender("sparkllm with drafts by n-grams", conf={"speculation": "ngram"}),
}


class Stage:
    """One Spark session with a model, on which every contender runs.

    Args:
        model: demo, or a folder.
        max_tokens: of an answer without labels.
        kv_cache_gib: of each engine; 0 leaves it to sparkllm and, on a GPU, to vLLM.
        max_model_len: of the engines, in tokens.
    """

    def __init__(self, model: str, max_tokens: int, kv_cache_gib: float = 0.0, max_model_len: int = 2048) -> None:
        self._timed = TimedSession(
            model=model,
            master=f"local[{usable_cores()}]",
            max_tokens=max_tokens,
            max_model_len=max_model_len,
            max_num_seqs=_SEQUENCES,
            kv_cache_gib=kv_cache_gib,
            engine_options=_options(),
        )
        self.spark: SparkSession = self._timed.spark
        self.max_model_len = max_model_len
        self._arguments = _arguments(resolve(model), max_model_len, kv_cache_gib)
        self._runs = itertools.count(1)
        self._counted = self.spark.sparkContext.accumulator({}, _Sum())
        self.spark.udf.register(FUNCTION, by_udf(self._arguments, max_tokens, self._counted))

    def close(self) -> None:
        """End engines and session."""
        self._timed.close()

    def cache_tokens(self) -> int:
        """What sparkllm's engine holds in its KV cache; 0 where it does not say."""
        return self._timed.engine().info.cache_tokens

    def run(self, name: str, query: Query, rows: DataFrame) -> dict[str, Any]:
        """One measured run over `rows`: seconds from the query's text to its last row, and what was asked."""
        contender = CONTENDERS[name]
        conf = {f"spark.sparkllm.optimizer.{rule}": "false" for rule in contender.off}
        conf |= {f"spark.sparkllm.{key}": value for key, value in contender.conf.items()}
        before = {key: self.spark.conf.get(key, None) for key in conf}
        for key, value in conf.items():
            self.spark.conf.set(key, value)
        try:
            rows = rows.orderBy(text_of(query, rows)) if contender.sorts else rows
            rows.createOrReplaceTempView(query.table)
            return self._by_udf(query) if contender.own_engine else self._by_sparkllm(query, contender.learns)
        finally:
            for key, old in before.items():
                if old is None:
                    self.spark.conf.unset(key)
                else:
                    self.spark.conf.set(key, old)

    def _by_sparkllm(self, query: Query, learns: bool) -> dict[str, Any]:
        self._timed.seconds(query.text if learns else _OTHER)
        return self._timed.measure(query.text)

    def _by_udf(self, query: Query) -> dict[str, Any]:
        """The first run in which no worker had to make its engine: two calls have more workers than one.

        Raises:
            RuntimeError: there was none. Spark ends Python workers that are idle for a minute, and with two calls some
                are, while others make their engines.
        """
        for _ in range(_UDF_TRIES):
            self._timed.seconds(asked_by_udf(_OTHER))
            self._counted.value = {}
            seconds = self._timed.seconds(asked_by_udf(query.text, next(self._runs)))
            if not self._counted.value.get("engines"):
                return {"seconds": seconds, **_NO_COUNTS, **self._counted.value}
        raise RuntimeError(f"in each of {_UDF_TRIES} runs a Python worker had no engine yet, and had to make one")


class _Sum(AccumulatorParam[Counts]):
    def zero(self, value: Counts) -> Counts:
        return {}

    def addInPlace(self, value1: Counts, value2: Counts) -> Counts:  # noqa: N802 -- Spark's name
        return {name: value1.get(name, 0) + value2.get(name, 0) for name in value1 | value2}


def text_of(query: Query, rows: DataFrame) -> Any:
    """The fields of the query's call with the most of them, as its prompt has them."""
    from pyspark.sql import functions as F

    names = [f"`{name}`" for name in rows.columns]  # Spark sorts by no star
    calls = [[n for field in call for n in (names if field == "*" else [field])] for call in fields_of(query.text)]
    fields = max(calls, key=len)
    return F.to_json(F.expr(f"struct({', '.join(fields)})"))


def _arguments(model: str, max_model_len: int, kv_cache_gib: float) -> dict[str, Any]:
    """Of `vllm.LLM`, as sparkllm has them for its own engine on a CPU."""
    arguments: dict[str, Any] = {
        "model": model,
        "max_model_len": max_model_len,
        "max_num_seqs": _SEQUENCES,
        "max_num_batched_tokens": _BATCHED_TOKENS,
        "disable_log_stats": True,
    }
    import torch

    if not torch.cuda.is_available():
        arguments |= {"dtype": fastest_dtype(), "enforce_eager": True, "block_size": 32}
    if kv_cache_gib or not torch.cuda.is_available():
        arguments["kv_cache_memory_bytes"] = int((kv_cache_gib or 1.0) * 1024**3)
    return arguments
