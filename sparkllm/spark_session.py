"""session() and register(): `llm(...)` as SQL, on a new or a running Spark session."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from pyspark import SparkContext
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from sparkllm.backend.client import stop as stop_engines
from sparkllm.backend.paid import paid as paid_on_this_host
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.control_channel import open_channel, told_by
from sparkllm.errors import CallError, ConfigError, JavaError, SparkLLMError
from sparkllm.optimizer.jar import EXTENSION, build_jar, find_java
from sparkllm.own_tasks import OwnTask, own_tasks
from sparkllm.plain_session import is_connect, ready, remember
from sparkllm.progress_watch import watch

__all__ = [
    "FUNCTION",
    "add_task",
    "config_of",
    "last_reports",
    "paid",
    "planned_calls",
    "register",
    "session",
    "session_of",
    "some_session",
    "stop",
]

_PACKAGE = "sparkllm.catalyst"
FUNCTION = "__llm_eval"  # the worker's own: (request, struct of fields) -> answer
_REPORT_WAIT_MS = 10_000


def session(model: str | None = None, *, master: str = "", app_name: str = "", **conf: Any) -> SparkSession:
    """A Spark session in which `SELECT llm('classify', review) FROM t` works.

    Args:
        model: path or Hugging Face id; None takes `spark.sparkllm.model`, else the small one that is shipped.
        master: Spark master; empty takes the one Spark is configured with, else `local[*]`.
        app_name: name of the application.
        **conf: settings of LLMConfig (`max_tokens=8`) and Spark's own (`**{"spark.sql.shuffle.partitions": 8}`).

    Raises:
        ConfigError: an unknown or misspelt setting.
        JavaError: no Java, or the Catalyst extension does not compile.
    """
    options, spark_conf = _split(conf)
    if model is not None:
        options["model"] = model
    settings = _settings(options, spark_conf)
    find_java()
    if _runs_here(master or spark_conf.get("spark.master", "")):
        # Spark's default is the first python3 on PATH, which may lack sparkllm; a cluster has a Python of its own
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    named = {"spark.master": master, "spark.app.name": app_name}
    builder: Any = SparkSession.builder
    for key, value in {**{k: v for k, v in named.items() if v}, **spark_conf, **settings}.items():
        builder = builder.config(key, value)
    # The rules are brought into the session that runs: setting spark.jars and spark.sql.extensions here would replace
    # what spark-submit or spark-defaults.conf give there.
    return register(builder.getOrCreate(), **options)


def register(spark: SparkSession, model: str | None = None, *, _function: Any = None, **options: Any) -> SparkSession:
    """Bring `llm(...)` into a session that runs already; safe to call again, with other settings too.

    A client of Spark Connect gets the function that `sparkllm.sql` and `sparkllm.map` use.

    Args:
        spark: the session.
        model: path or Hugging Face id; None leaves the session's.
        **options: settings of LLMConfig.

    Raises:
        ConfigError: an unknown or misspelt setting.
        JavaError: the Catalyst extension could not be compiled or loaded.
    """
    if model is not None:
        options["model"] = model
    settings = _settings(options, _sparkllm_conf(spark))
    for key, value in settings.items():
        spark.conf.set(key, value)
    if is_connect(spark):
        remember(spark, settings)
        ready(spark, _function)
        return spark
    missing = list(_load(spark, f"{_PACKAGE}.Install").install(_jvm_session(spark)))
    if missing:
        warnings.warn(
            f"sparkllm could not install: {'; '.join(missing)}; start the session with "
            f"sparkllm.session() or spark.sql.extensions={EXTENSION}",
            stacklevel=2,
        )
    for own in own_tasks().values():
        add_task(spark, own)
    spark.sql(f"DROP TEMPORARY FUNCTION IF EXISTS {FUNCTION}")  # Spark would warn of its replacement
    spark.udf.register(FUNCTION, _function if _function is not None else _llm_eval())
    channel, port = _load(spark, f"{_PACKAGE}.ControlChannel"), config_of(spark).control_port
    open_channel(spark.sparkContext, port, channel.open, channel.close)
    application = str(spark.sparkContext.applicationId)
    watch(application, _load(spark, f"{_PACKAGE}.RunningCalls").of(_jvm_session(spark)), partial(told_by, application))
    return spark


def add_task(spark: SparkSession, own: OwnTask) -> None:
    """Make `llm('mood', x)` and `llm_mood(x)` known to a session, and to those that come of it.

    Raises:
        CallError: it has a function of that name, which is none of sparkllm's.
    """
    try:
        _load(spark, f"{_PACKAGE}.Install").addTask(_jvm_session(spark), own.to_json())
    except AnalysisException as error:
        raise CallError(str(error)) from None


def last_reports(spark: SparkSession | None = None, n: int = 1) -> list[str]:
    """JSON of the last `n` queries of this driver that asked a model, oldest first; at most 100 are kept.

    All sessions of a driver share them; `spark` may be left out where a session is active.

    Each is {"query", "seconds", "succeeded", "error", "calls": [{"call", "field_orders", "rows", "distinct",
    "requests", "ledger_rows", "ledger_prompts", "prompt_tokens", "cached_tokens", "output_tokens", "start_ms",
    "longest_start_ms", "busy_ms", "null_fields", "too_long", "truncated", "engine_error", "engine_killed", "budget",
    "pools", "settings"}]}; a field order is "2,0,1", by number; pools are rows by kind of replica, empty without a
    placement; settings are the session's `spark.sparkllm.*` entries when the query was planned.
    """
    spark = some_session(spark)
    reports = _load(spark, f"{_PACKAGE}.Reports")
    _jvm_session(spark).sparkContext().listenerBus().waitUntilEmpty(_REPORT_WAIT_MS)
    return [str(text) for text in reports.last(n)]


def planned_calls(
    query: DataFrame | str, spark: SparkSession | None
) -> tuple[SparkSession, list[tuple[str, DataFrame | None]]]:
    """The calls of a query that is planned and not run, inner ones first, and the session that would run it.

    Each is JSON (PlannedCalls.scala) and the rows of its fields, f0, f1, ..., or None where a call below gives them.
    """
    session = session_of(query, spark)
    planner, jvm = _load(session, f"{_PACKAGE}.PlannedCalls"), _jvm_session(session)
    asked = isinstance(query, DataFrame)
    found = planner.of(query._jdf.queryExecution()) if asked else planner.ofText(jvm, query)  # type: ignore
    frames = _scala_object(session, "org.apache.spark.sql.classic.Dataset")
    return session, [
        (call.json(), None if call.fields() is None else DataFrame(frames.ofRows(jvm, call.fields()), session))
        for call in found
    ]


def session_of(query: DataFrame | str, spark: SparkSession | None) -> SparkSession:
    """The one that would run it: a DataFrame's own, a text's as given or active.

    Raises:
        SparkLLMError: there is none.
    """
    return query.sparkSession if isinstance(query, DataFrame) else some_session(spark)


def paid(spark: SparkSession | None, query: int) -> dict[str, int] | None:
    """What the engines of a local session counted for a query; None on a cluster, where they run on other hosts."""
    spark = spark or SparkSession.getActiveSession() or SparkSession._instantiatedSession
    if spark is None or not str(spark.sparkContext.master).startswith("local"):
        return None
    return paid_on_this_host(spark.sparkContext.applicationId, str(query), config_of(spark))


def stop(spark: SparkSession | None = None) -> int:
    """End the engines of a session's application; the session itself goes on, and its next query starts a new one.

    Engines end by themselves with their executors, and after `spark.sparkllm.idleSeconds` without a request; this frees
    their memory at once. On a cluster, hosts that run no task for this call keep theirs until then.

    Args:
        spark: the session; the active one when left out. Without any session, all engines of this user on this host.

    Returns:
        How many engines were ended, here and on the executors that were reached.
    """
    spark = spark or SparkSession.getActiveSession() or SparkSession._instantiatedSession
    if spark is None or SparkContext._active_spark_context is None:
        return stop_engines()
    context = spark.sparkContext
    application, config = context.applicationId, config_of(spark)
    ended = stop_engines(application, config)
    if not str(context.master).startswith("local"):
        slots = context.parallelize(range(context.defaultParallelism), context.defaultParallelism)
        ended += slots.map(lambda _: stop_engines(application, config)).sum()
    return ended


def some_session(spark: SparkSession | None) -> SparkSession:
    """This one, or the active one.

    Raises:
        SparkLLMError: there is none.
    """
    spark = spark or SparkSession.getActiveSession() or SparkSession._instantiatedSession
    if spark is None:
        raise SparkLLMError("there is no Spark session; call sparkllm.session() first")
    return spark


def _llm_eval() -> Callable[..., Any]:
    from sparkllm.udf.arrow import llm_eval  # late: its imports are those of a worker

    return llm_eval


def _split(conf: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Options of LLMConfig, and Spark's own keys."""
    spark_conf = {k: _text(v) for k, v in conf.items() if k.startswith("spark.")}
    options = {k: v for k, v in conf.items() if k not in spark_conf}
    known = [f.name for f in fields(LLMConfig)] + ["master", "app_name"]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
            raise ConfigError(f"unknown option {name!r}; {hint} (Spark's own keys begin with 'spark.')")
    return options, spark_conf


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _settings(options: Mapping[str, Any], conf: Mapping[str, str]) -> dict[str, str]:
    """The spark.sparkllm.* entries to set: those of `conf`, checked, and under them every option that was given."""
    LLMConfig.from_spark(conf)
    given = LLMConfig.from_options(options)
    names = {name: key for key, name in LLMConfig.spark_keys().items()}
    # an option that was given counts even where it equals the default: it may undo an earlier one
    return {names[name]: _text(getattr(given, name)) for name in options}


def config_of(spark: SparkSession) -> LLMConfig:
    """The settings that hold in it now."""
    return LLMConfig.from_spark(_sparkllm_conf(spark))


def _sparkllm_conf(spark: SparkSession) -> dict[str, str]:
    return {k: v for k, v in spark.conf.getAll.items() if k.startswith(PREFIX)}


def _runs_here(master: str) -> bool:
    """Whether the executors are surely on this machine: under spark-submit, or with a master that it knows, not."""
    return "PYSPARK_GATEWAY_PORT" not in os.environ and (not master or master.startswith("local"))


def _jvm_session(spark: SparkSession) -> Any:
    try:
        return spark._jsparkSession
    except AttributeError:
        raise JavaError(
            "this is a Spark Connect session, where no jar can be loaded from the client; start the server with "
            f"spark.sql.extensions={EXTENSION}"
        ) from None


def _load(spark: SparkSession, name: str) -> Any:
    """A Scala object of the jar, as the session's class loader knows it; adds the jar where it is not there yet."""
    try:
        return _scala_object(spark, name)
    except Exception:  # py4j wraps ClassNotFoundException
        spark.sql(f"ADD JAR '{build_jar()}'").collect()
    try:
        return _scala_object(spark, name)
    except Exception as error:
        raise JavaError(f"Spark {spark.version} took the jar but cannot load {name}: {error}") from error


def _scala_object(spark: SparkSession, name: str) -> Any:
    loader = _jvm_session(spark).sharedState().jarClassLoader()
    return loader.loadClass(name + "$").getField("MODULE$").get(None)
