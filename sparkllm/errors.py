"""The error tree: every error says what was expected, what was found and what to do.

Errors of a call (an unknown task, a missing column) are found by Spark's analyzer and reach the user as
`pyspark.errors.AnalysisException`; the classes here are raised by the Python side.
"""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "CallError",
    "ConfigError",
    "EndpointError",
    "EngineDiedError",
    "EngineError",
    "EngineStartError",
    "JavaError",
    "LedgerError",
    "RowError",
    "SparkLLMError",
    "TranspileError",
]


class SparkLLMError(Exception):
    """Base of every error raised by sparkllm."""


class ConfigError(SparkLLMError):
    """A setting is unknown or has a value that cannot be used."""


class CallError(SparkLLMError):
    """A call of `llm(...)` is not well formed."""


class TranspileError(CallError):
    """A function of another platform, or a use of it, has no counterpart."""


class JavaError(SparkLLMError):
    """Java is missing or too old, or the Catalyst extension could not be compiled or loaded."""


class EngineError(SparkLLMError):
    """The engine server could not do what was asked of it."""


class EngineStartError(EngineError):
    """The engine did not start: wrong model, not enough memory, no chat template, ..."""


class EndpointError(EngineError):
    """No row can be answered by the endpoint: a wrong key, model or address, or a server that is away for too long."""


class EngineDiedError(EngineError):
    """The engine ended while requests were under way.

    Attributes:
        reason: what it died of, without what to do about it.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class LedgerError(SparkLLMError):
    """The ledger of answers cannot be read or written; queries go on without it."""


class RowError(SparkLLMError):
    """A row has no answer and `spark.sparkllm.failOnError` is true."""


class BudgetError(SparkLLMError):
    """A query's budget is used up and `spark.sparkllm.onBudget` is `fail`."""
