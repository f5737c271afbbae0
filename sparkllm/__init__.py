"""LLM calls as ordinary Spark SQL and DataFrame functions, on your own GPUs.

>>> import sparkllm
>>> spark = sparkllm.session(model="demo")                                # doctest: +SKIP
>>> print(sparkllm.explain("SELECT llm('classify', review) FROM reviews"))  # doctest: +SKIP
>>> print(sparkllm.place("SELECT llm('classify', review) FROM reviews", deadline="2h").explain())  # doctest: +SKIP
>>> spark.sql("SELECT llm('classify', review) FROM reviews").show()       # doctest: +SKIP
>>> print(sparkllm.last_report())                                         # doctest: +SKIP

The names below are loaded when they are first used: importing sparkllm imports neither pyspark, torch nor vllm.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparkllm.backend.control.query import QueryProgress
    from sparkllm.config import LLMConfig
    from sparkllm.control_channel import progress
    from sparkllm.drift import QueryDrift, check_drift
    from sparkllm.errors import SparkLLMError
    from sparkllm.estimate import QueryEstimate, explain
    from sparkllm.optimizer.transpile import transpile
    from sparkllm.placing import place
    from sparkllm.plain_map import map  # noqa: A004 # users read sparkllm.map
    from sparkllm.plain_sql import sql
    from sparkllm.query_workload import workload
    from sparkllm.report import QueryReport, last_report
    from sparkllm.spark_session import register, session, stop
    from sparkllm.task_registration import register_task
    from sparkllm.udf.functions import llm
    from sparkllm.udf.typed_functions import (
        llm_agg,
        llm_classify,
        llm_extract,
        llm_filter,
        llm_fix_grammar,
        llm_gen,
        llm_mask,
        llm_score,
        llm_summarize,
        llm_summarize_agg,
        llm_translate,
    )

__all__ = [
    "LLMConfig",
    "QueryDrift",
    "QueryEstimate",
    "QueryProgress",
    "QueryReport",
    "SparkLLMError",
    "check_drift",
    "explain",
    "last_report",
    "llm",
    "llm_agg",
    "llm_classify",
    "llm_extract",
    "llm_filter",
    "llm_fix_grammar",
    "llm_gen",
    "llm_mask",
    "llm_score",
    "llm_summarize",
    "llm_summarize_agg",
    "llm_translate",
    "map",
    "place",
    "progress",
    "register",
    "register_task",
    "session",
    "sql",
    "stop",
    "transpile",
    "workload",
]
__version__ = "0.1.0"

_HOME = {
    "LLMConfig": "sparkllm.config",
    "QueryDrift": "sparkllm.drift",
    "QueryEstimate": "sparkllm.estimate",
    "QueryProgress": "sparkllm.backend.control.query",
    "QueryReport": "sparkllm.report",
    "SparkLLMError": "sparkllm.errors",
    "check_drift": "sparkllm.drift",
    "explain": "sparkllm.estimate",
    "last_report": "sparkllm.report",
    "llm": "sparkllm.udf.functions",
    "llm_agg": "sparkllm.udf.typed_functions",
    "llm_classify": "sparkllm.udf.typed_functions",
    "llm_extract": "sparkllm.udf.typed_functions",
    "llm_filter": "sparkllm.udf.typed_functions",
    "llm_fix_grammar": "sparkllm.udf.typed_functions",
    "llm_gen": "sparkllm.udf.typed_functions",
    "llm_mask": "sparkllm.udf.typed_functions",
    "llm_score": "sparkllm.udf.typed_functions",
    "llm_summarize": "sparkllm.udf.typed_functions",
    "llm_summarize_agg": "sparkllm.udf.typed_functions",
    "llm_translate": "sparkllm.udf.typed_functions",
    "map": "sparkllm.plain_map",
    "place": "sparkllm.placing",
    "progress": "sparkllm.control_channel",
    "register": "sparkllm.spark_session",
    "register_task": "sparkllm.task_registration",
    "session": "sparkllm.spark_session",
    "sql": "sparkllm.plain_sql",
    "stop": "sparkllm.spark_session",
    "transpile": "sparkllm.optimizer.transpile",
    "workload": "sparkllm.query_workload",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sparkllm' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
