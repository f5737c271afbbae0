"""A query that is planned and has not run: its calls, and the settings that hold for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkllm.calls import LLMCall
from sparkllm.config import PREFIX, LLMConfig

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["PlannedCall", "PlannedQuery"]


@dataclass(frozen=True, eq=False)
class PlannedCall:
    """One call of the query.

    Attributes:
        call: what will be asked.
        plan: what PlannedCalls.scala says of it.
        frame: its fields as texts, one column each; None without fields, and over the answers of another call.
    """

    call: LLMCall
    plan: dict[str, Any]
    frame: DataFrame | None

    @property
    def model(self) -> str:
        """Path or id."""
        return str(self.plan["model"])

    def __str__(self) -> str:
        return str(self.call)


@dataclass(frozen=True, eq=False)
class PlannedQuery:
    """The calls, inner ones first.

    Attributes:
        session: that would run the query.
        conf: its `spark.sparkllm.*` entries.
        calls: of the query.
    """

    session: SparkSession
    conf: dict[str, str]
    calls: tuple[PlannedCall, ...]

    @classmethod
    def of(cls, query: DataFrame | str, spark: SparkSession | None) -> PlannedQuery:
        """Plan it; no job runs.

        Raises:
            SparkLLMError: there is no session.
            pyspark.errors.AnalysisException: the query is wrong, or a command such as INSERT.
        """
        from sparkllm.spark_session import planned_calls

        session, planned = planned_calls(query, spark)
        conf = {key: value for key, value in session.conf.getAll.items() if key.startswith(PREFIX)}
        plans = [(json.loads(text), frame) for text, frame in planned]
        calls = (PlannedCall(LLMCall.from_json(json.dumps(plan["call"])), plan, frame) for plan, frame in plans)
        return cls(session, conf, tuple(calls))

    @property
    def config(self) -> LLMConfig:
        """The session's settings."""
        return LLMConfig.from_spark(self.conf)

    @property
    def models(self) -> tuple[str, ...]:
        """Path or id of each model that is asked, in the order of the calls."""
        return tuple(dict.fromkeys(call.model for call in self.calls))
