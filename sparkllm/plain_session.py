"""A session without the Catalyst extension: the function that asks, and what the rewriting wants to know.

Nothing here touches a JVM: Spark Connect, serverless compute and SQL warehouses have none within reach.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from pyspark.sql import SparkSession

from sparkllm.backend.control.budget import Budget
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.errors import ConfigError
from sparkllm.optimizer.rewrite import FUNCTION

__all__ = ["PlainSession", "has_extension", "is_connect", "last_query", "ready"]

_APPLICATION = "spark.app.id"
_ready: WeakSet[SparkSession] = WeakSet()
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
        everything: dict[str, str] = dict(spark.conf.getAll)
        self._conf = {k: v for k, v in sorted(everything.items()) if k.startswith(PREFIX) and k != f"{PREFIX}placement"}
        self.application = everything.get(_APPLICATION) or "plain"
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

    def request(self, call: str) -> str:
        """What sparkllm/udf/task.py reads."""
        asked = {"application": self.application, "call": json.loads(call), "conf": self._conf, "query": self.query}
        return json.dumps(asked, ensure_ascii=False, separators=(",", ":"))

    def planned(self) -> None:
        """The query is about to run."""
        _last[self._spark] = self
