"""A session without the Catalyst extension: the function that asks, and what the rewriting wants to know.

Nothing here touches a JVM: Spark Connect, serverless compute and SQL warehouses have none within reach.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from pyspark.sql import SparkSession

from sparkllm.backend.control.budget import Budget
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.errors import ConfigError
from sparkllm.optimizer.rewrite import FUNCTION

__all__ = ["PlainSession", "has_extension", "is_connect", "last_query", "ready", "remember"]

_APPLICATION = "spark.app.id"
_HIDDEN = "*********(redacted)"  # Spark's own words
_ready: WeakSet[SparkSession] = WeakSet()
_given: WeakKeyDictionary[SparkSession, dict[str, str]] = WeakKeyDictionary()
_last: WeakKeyDictionary[SparkSession, PlainSession] = WeakKeyDictionary()
_numbers = count(1)


def is_connect(spark: SparkSession) -> bool:
    """Whether it is a client of a Spark Connect server."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def has_extension(spark: SparkSession) -> bool:
    """Whether the session itself understands `llm(...)`."""
    return not is_connect(spark) and bool(spark.catalog.functionExists("llm"))


def last_query(spark: SparkSession) -> PlainSession | None:
    """What the session's last rewritten query was planned with."""
    return _last.get(spark)


def ready(spark: SparkSession, function: Any = None) -> None:
    """Register the function that asks, once; `function`, a UDF, takes its place, which tests do."""
    if function is None and spark in _ready:
        return
    # Not deterministic: Spark neither copies a call nor moves a condition past it.
    spark.udf.register(FUNCTION, function if function is not None else _asking())
    _ready.add(spark)


def _asking() -> Any:
    from sparkllm.udf.arrow import RESULT_TYPE, ask_engine  # late: these imports are those of a worker
    from sparkllm.udf.iterator_udf import iterator_udf

    return iterator_udf(ask_engine, RESULT_TYPE).asNondeterministic()


def remember(spark: SparkSession, settings: Mapping[str, str]) -> None:
    """Settings that were given here: a Connect server does not give those back whose names have `token` in them."""
    _given.setdefault(spark, {}).update(settings)


def _settings(spark: SparkSession) -> dict[str, str]:
    """The session's `spark.sparkllm.*` entries.

    Raises:
        ConfigError: a server hides one that this client has not given itself.
    """
    everything: dict[str, str] = dict(spark.conf.getAll)
    if is_connect(spark):
        everything |= {row.key: row.value for row in spark.sql("SET").collect()}
    found = {key: value for key, value in everything.items() if key.startswith(PREFIX)}
    for key in [key for key, value in found.items() if value == _HIDDEN]:
        if key not in _given.get(spark, {}):
            raise ConfigError(
                f"the Spark Connect server gives {key} to nobody, as its spark.redaction.regex takes it for a secret: "
                "give it by sparkllm.register(spark, ...), which remembers it, or for a call: max_tokens => 20"
            )
        found[key] = _given[spark][key]
    return found


class PlainSession:
    """What one query is planned with: `Platform` of the rewriting.

    Attributes:
        config: the session's settings.
        application: Spark's id of the application, whose engines answer.
        query: the name under which they count what it asks.
    """

    def __init__(self, spark: SparkSession) -> None:
        """Read the session's settings.

        Raises:
            ConfigError: an unknown setting, or a budget, which nobody could keep.
        """
        self._spark = spark
        settings = _settings(spark)
        self._conf = {key: value for key, value in sorted(settings.items()) if key != f"{PREFIX}placement"}
        self.application = spark.conf.get(_APPLICATION, None) or "plain"
        self.config = LLMConfig.from_spark(self._conf)
        if Budget.of(self.config) is not None:
            raise ConfigError(
                "a budget (spark.sparkllm.maxCalls, maxTotalTokens, maxSeconds, maxCost) is kept by a service in the "
                "driver, which is not there without the Catalyst extension, as on Spark Connect: unset it, or limit "
                "the query itself (LIMIT, TABLESAMPLE)"
            )
        self.number = next(_numbers)
        self.query = f"plain-{uuid4().hex[:8]}-{self.number}"

    def describe(self, query: str) -> list[tuple[str, str]]:
        """See `Platform.describe`: one question to the server, no job."""
        return [(f.name, f.dataType.simpleString().lower()) for f in self._spark.sql(query).schema.fields]

    def has_function(self, name: str) -> bool:
        """See `Platform.has_function`: Databricks has `ai_translate` and its like, and so may a user."""
        there = self._spark.catalog.functionExists
        return bool(there(name)) and not there("llm")  # else it is ours: a Connect server may have the jar

    def request(self, call: str) -> str:
        """What sparkllm/udf/task.py reads."""
        asked = {"application": self.application, "call": json.loads(call), "conf": self._conf, "query": self.query}
        return json.dumps(asked, ensure_ascii=False, separators=(",", ":"))

    def planned(self) -> None:
        """The query is about to run."""
        _last[self._spark] = self
