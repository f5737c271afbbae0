"""Objects of the jar, made from Python for tests of single Scala functions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from pyspark.sql import SparkSession

__all__ = ["array", "instance", "seq"]


def instance(session: SparkSession, name: str, *arguments: Any) -> Any:
    """`new sparkllm.catalyst.<name>(arguments)`."""
    return _constructor(session, name).newInstance(array(session, "java.lang.Object", arguments))


def array(session: SparkSession, name: str, values: Sequence[Any]) -> Any:
    """A Java array of this class; `double`, `int` and `sparkllm.catalyst.*` are classes, too."""
    kind = {"double": _jvm(session).java.lang.Double.TYPE, "int": _jvm(session).java.lang.Integer.TYPE}.get(name)
    made = _jvm(session).java.lang.reflect.Array.newInstance(kind or _class(session, name), len(values))
    for i, value in enumerate(values):
        made[i] = value
    return made


def seq(session: SparkSession, values: Sequence[Any]) -> Any:
    """A Scala Seq."""
    return _jvm(session).org.apache.spark.api.python.PythonUtils.toSeq(list(values))


@functools.cache
def _constructor(session: SparkSession, name: str) -> Any:
    return _class(session, f"sparkllm.catalyst.{name}").getConstructors()[0]


def _class(session: SparkSession, name: str) -> Any:
    loader = session._jsparkSession.sharedState().jarClassLoader()
    return _jvm(session).java.lang.Class.forName(name, True, loader)


def _jvm(session: SparkSession) -> Any:
    return session.sparkContext._gateway.jvm  # type: ignore[union-attr]
