"""The driver's end of the control channel: one service for each Spark application, for as long as it runs."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sparkllm.errors import SparkLLMError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    from sparkllm.backend.control.query import QueryProgress
    from sparkllm.backend.control.service import ControlService
    from sparkllm.backend.control.timeline import Moment

__all__ = ["open_channel", "progress", "timeline_of", "told_by", "told_of"]

_POLL_SECONDS = 0.5
_LOCAL = "127.0.0.1"

_services: dict[str, ControlService] = {}
_lock = threading.Lock()


def open_channel(context: SparkContext, port: int, tell: Callable[[str, str], Any], close: Callable[[], Any]) -> None:
    """Start the application's service where it does not run yet; it ends with the application.

    Without one, queries run all the same, but for those with a budget.

    Args:
        port: 0 takes a free one.
        tell: takes the service's address and token; they go to the tasks beside the plan, not in it.
        close: called when there is no service any more.
    """
    application = str(context.applicationId)
    with _lock:
        try:
            service = _services.get(application) or _start(context, port)
        except Exception as error:  # Arrow has several for an address that cannot be taken
            warnings.warn(
                f"sparkllm cannot listen for its engines ({error}); queries with a budget will fail. Set "
                f"spark.sparkllm.controlPort to a free port that executors reach, or 0",
                stacklevel=4,
            )
            close()
            return
        if application not in _services:
            _services[application] = service
            threading.Thread(target=_end_with, args=(context, application), name="sparkllm-end", daemon=True).start()
    tell(service.address.location, service.address.token)


def progress(spark: SparkSession | None = None) -> list[QueryProgress]:
    """What engines have told the driver of the application's queries; the one told of last is at the end.

    Engines report once a second while they have requests of a query, and when the last has ended.

    Args:
        spark: a session of the driver; the active one when left out.

    Raises:
        SparkLLMError: there is no session, or it is Spark Connect's.
    """
    from sparkllm.plain_session import is_connect
    from sparkllm.spark_session import some_session

    session = some_session(spark)
    if is_connect(session):
        raise SparkLLMError(
            "progress() reads a service in the driver, which a client of Spark Connect cannot have; "
            "sparkllm.last_report(spark) asks the engines for what they have counted so far"
        )
    return told_by(str(session.sparkContext.applicationId))


def told_by(application: str) -> list[QueryProgress]:
    """The same, by Spark's id of the application; from any thread."""
    service = _services.get(application)
    return service.progress() if service is not None else []


def told_of(spark: SparkSession | None, query: int) -> QueryProgress | None:
    """What engines have told of one query; None where that is nothing."""
    return next((told for told in progress(spark) if told.query == str(query)), None)


def timeline_of(spark: SparkSession, query: int) -> tuple[Moment, ...]:
    """How many requests a query's engines had, and how long their drafts were; empty where nobody has told."""
    service = _services.get(str(spark.sparkContext.applicationId))
    return service.timeline(str(query)) if service is not None else ()


def _start(context: SparkContext, port: int) -> ControlService:
    from sparkllm.backend.control.service import ControlService

    if _on_this_machine(str(context.master)):
        return ControlService(_LOCAL, _LOCAL, port)
    host = context.getConf().get("spark.driver.host") or _LOCAL
    return ControlService(host, context.getConf().get("spark.driver.bindAddress") or host, port)


def _on_this_machine(master: str) -> bool:
    return master == "local" or master.startswith("local[")


def _end_with(context: SparkContext, application: str) -> None:
    while context._jsc is not None:  # PySpark's own sign of a context that has stopped
        time.sleep(_POLL_SECONDS)
    _end(application)


def _end(application: str) -> None:
    with _lock:
        service = _services.pop(application, None)
    if service is not None:
        with contextlib.suppress(Exception):
            service.shutdown()


@atexit.register
def _end_all() -> None:
    for application in list(_services):
        _end(application)
