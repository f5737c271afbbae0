"""What a Python worker knows of the Spark task it serves: settings, application and query."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyspark import TaskContext

from sparkllm.config import LLMConfig

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """Spark sends every `spark.*` setting of the session to its tasks as local properties."""

    config: LLMConfig
    application: str
    query: str

    @classmethod
    def current(cls) -> Task:
        """The task of this worker; outside Spark, the defaults under an application of this process."""
        context = TaskContext.get()
        if context is None:
            return cls(LLMConfig(), f"process-{os.getpid()}", "")
        properties = {key: context.getLocalProperty(key) for key in LLMConfig.spark_keys()}
        return cls(
            config=LLMConfig.from_spark({key: text for key, text in properties.items() if text is not None}),
            application=context.getLocalProperty("spark.app.id") or f"process-{os.getppid()}",
            query=context.getLocalProperty("spark.sql.execution.id") or "",
        )
